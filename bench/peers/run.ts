import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import own from '../../package.json' with { type: 'json' }
import { drive, type Figures } from './drive.ts'
import { installPeers } from './install.ts'
import { FAULTS, type Outcome, runFault } from './paid-once.ts'
import { BASELINE, type Peer, PEERS, peerVersion, startPeer } from './peers.ts'
import { type Run, startRun } from './processes.ts'
import { storeVersion } from './stores.ts'
import { startSimulator } from './upstream.ts'

/** `npm run bench:peers`: genqueue beside other engines, as a table of Markdown on standard output. See docs/benchmarks.md. */

const HELP = `npm run bench:peers -- [options]            throughput and cost
npm run bench:peers -- --paid-once [options]  predictions and results of each job after five faults

  --only a,b          of ${PEERS.map(({ name }) => name).join(', ')}
  --jobs <n>          jobs of each turn (1000), or of each fault (5)
  --connections <n>   submitting at the same time (16)
  --turns <n>         alternating turns of each peer; the tables show medians (3)
  --watch <seconds>   how long the jobs of each fault are watched (90)
  --parallel <n>      faults that run at the same time (6)
`

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    jobs: { type: 'string' },
    connections: { type: 'string', default: '16' },
    turns: { type: 'string', default: '3' },
    watch: { type: 'string', default: '90' },
    parallel: { type: 'string', default: '6' },
    'paid-once': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function count(name: 'jobs' | 'connections' | 'turns' | 'watch' | 'parallel', fallback = ''): number {
  const text = values[name] ?? fallback
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw new Error(`--${name}: read "${text}", expected a whole number above 0`)
}

function chosenPeers(): Peer[] {
  if (values.only === undefined) return [...PEERS]
  return values.only.split(',').map((name) => {
    const peer = PEERS.find((one) => one.name === name.trim())
    if (peer) return peer
    throw new Error(`--only: read "${name}", expected some of ${PEERS.map((one) => one.name).join(', ')}`)
  })
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const progress = (line: string): void => void process.stderr.write(`${line}\n`)
const row = (cells: (string | number)[]): string => `| ${cells.join(' | ')} |`
const table = (head: string[], rows: (string | number)[][]): void =>
  [head, head.map(() => '---'), ...rows].forEach((cells) => say(row(cells)))

async function describe(peers: readonly Peer[]): Promise<void> {
  const kinds = [...new Set(peers.map(({ store }) => store))]
  const versions = peers.map((peer) => `${peer.title} ${peerVersion(peer, own.version)}`)
  const stores = await Promise.all(kinds.map(storeVersion))
  const [cpu] = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`
  const [load = 0] = loadavg()
  say(`Date: ${new Date().toISOString().slice(0, 10)}`)
  say(`Versions: ${[...versions, ...stores, `Node ${process.versions.node}`].join(', ')}`)
  say(
    `Machine: ${cpus().length} cores (${cpu?.model.trim()}), ${memory}, Linux ${release()}; load before the start ${load.toFixed(1)}`,
  )
  say(`Command: npm run bench:peers -- ${process.argv.slice(2).join(' ')}\n`)
}

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2
}

async function compareSpeed(run: Run, peers: readonly Peer[]): Promise<void> {
  const [jobs, connections, turns] = [count('jobs', '1000'), count('connections'), count('turns')]
  const simulator = await startSimulator(run, join(run.folder, 'simulator'))
  const figures = new Map<Peer, Figures[]>(peers.map((peer) => [peer, []]))
  for (let turn = 0; turn < turns; turn++) {
    // Each turn begins with another peer.
    const first = turn % peers.length
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      const folder = join(run.folder, `turn-${turn}-${peer.name}`)
      const running = await startPeer(run, peer, { folder, simulator, upstream: simulator.url, supervised: false })
      const one = await drive(running, jobs, connections)
      figures.get(peer)?.push(one)
      progress(`turn ${turn + 1}: ${peer.title} ${one.donePerSecond.toFixed(0)} done/s`)
      await running.stop()
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
      await simulator.reset()
    }
  }

  const baseline = [...figures].find(([{ name }]) => name === BASELINE)?.[1]
  const rows = peers.map((peer) => {
    const all = figures.get(peer) ?? []
    const of = (value: (one: Figures) => number, digits = 0): string => median(all.map(value)).toFixed(digits)
    const ratios = all.map((one, turn) => one.donePerSecond / (baseline?.[turn]?.donePerSecond ?? Number.NaN))
    return [
      peer.title,
      of((one) => one.acceptedPerSecond),
      of((one) => one.p50),
      of((one) => one.p99),
      of((one) => one.donePerSecond),
      baseline ? median(ratios).toFixed(2) : '',
      of((one) => one.cpuPerJob, 1),
    ]
  })
  table(
    [
      '',
      'accepted/s',
      'accept p50, ms',
      'accept p99, ms',
      'done/s',
      'done/s against raw BullMQ',
      'processor per job, ms',
    ],
    rows,
  )
}

async function compareSafety(run: Run, peers: readonly Peer[]): Promise<void> {
  const [jobs, watchMs, parallel] = [count('jobs', '5'), count('watch') * 1000, count('parallel')]
  const tasks = peers.flatMap((peer) => FAULTS.map((fault) => ({ peer, fault })))
  const outcomes = new Map<string, Outcome | Error>()
  const keyOf = (peer: Peer, { title }: { title: string }): string => `${peer.name}: ${title}`
  const queue = [...tasks]
  const worker = async (): Promise<void> => {
    for (let task = queue.shift(); task; task = queue.shift()) {
      const { peer, fault } = task
      const folder = join(run.folder, `fault-${outcomes.size}-${peer.name}-${FAULTS.indexOf(fault)}`)
      const outcome = await runFault(run, peer, fault, { folder, jobs, watchMs }).catch(asError)
      outcomes.set(keyOf(peer, fault), outcome)
      progress(`${keyOf(peer, fault)}: ${outcome instanceof Error ? outcome.message : shown(outcome)}`)
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  say(`Each cell: predictions per job, of ${jobs} jobs; jobs without result ${watchMs / 1000} s after the fault.\n`)
  table(
    ['', ...FAULTS.map(({ title }) => title)],
    peers.map((peer) => [
      peer.title,
      ...FAULTS.map((fault) => {
        const outcome = outcomes.get(keyOf(peer, fault))
        return outcome === undefined || outcome instanceof Error ? 'not measured' : shown(outcome)
      }),
    ]),
  )
  if ([...outcomes.values()].some((outcome) => outcome instanceof Error)) process.exitCode = 1
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

function shown({ jobs, predictions, withoutResult }: Outcome): string {
  const each = Number((predictions / jobs).toFixed(1))
  return `${each}, ${withoutResult === 0 ? 'all done' : `${withoutResult} of ${jobs} without result`}`
}

async function main(): Promise<void> {
  if (values.help) return say(HELP)
  const peers = chosenPeers()
  installPeers()
  const run = await startRun()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => void run.stop().finally(() => process.exit(130)))
  try {
    await describe(peers)
    await (values['paid-once'] ? compareSafety : compareSpeed)(run, peers)
  } finally {
    await run.stop()
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`bench:peers: ${asError(error).message}\n`)
  process.exitCode = 1
}
