import { waitFor } from '../support/wait-for.ts'
import { FINAL_PHASES, isFinal } from '../../src/shared/jobs/rules/job.ts'
import { startChaosFleet, type ChaosFleet } from './fleet.ts'
import { injectFaults } from './inject.ts'
import { startLoad } from './load.ts'
import { startOperator } from './operator.ts'
import { describeFault, firstStrikes, planFaults } from './plan.ts'
import { supervise, type Supervised } from './supervised.ts'
import { startRudeReceiver } from './rude-receiver.ts'
import { describeVariant, variantOf, type Variant } from './variant.ts'
import { judge, readAll, describeJobs, type Verdict } from './verdict.ts'

export interface ChaosOptions {
  seed: number
  jobs: number
  /** For how long jobs are submitted and faults injected, s. */
  seconds: number
  /** How long afterwards no further job may become final before the run has failed, s. */
  settle: number
  /** Absent settings are chosen by the seed. */
  variant?: Partial<Variant>
  say: (text: string) => void
}

export interface ChaosReport extends Verdict {
  variant: Variant
  webhooks: Record<string, number>
  faults: Record<string, number>
  restarts: Record<string, number>
  struck: Record<string, number>
}

/** Number of stuck jobs that a failure prints in full. */
const MAX_DESCRIBED = 5

async function untilRest(fleet: ChaosFleet, processes: Supervised[], seconds: number): Promise<void> {
  const { inspect, keys } = fleet
  const left = async (): Promise<number> => {
    const phases = Object.entries(await inspect.hgetall(keys.phases))
    const open = phases.filter(([phase]) => !(FINAL_PHASES as readonly string[]).includes(phase))
    return open.reduce((sum, [, n]) => sum + Number(n), 0) + (await inspect.zcard(keys.due))
  }
  try {
    // A busy machine takes longer, and makes progress all the same.
    for (let before = await left(); before > 0;) {
      const fewer = await waitFor(
        'further jobs to be final, or nothing to be due',
        async () => {
          const now = await left()
          return now < before && { now }
        },
        { timeout: seconds * 1000, interval: 200 },
      )
      before = fewer.now
    }
  } catch (error) {
    const stuck = (await readAll(fleet)).filter(
      ({ job, attempts, effects }) =>
        !isFinal(job.phase) || effects.length > 0 || attempts.some(({ state }) => state !== 'closed'),
    )
    const due = await inspect.zrange(keys.due, '0', '19', 'WITHSCORES')
    const account = await inspect.hgetall(keys.account('default'))
    const words = processes.map(({ name, words }) => `${name}:\n${words.slice(-15).join('\n')}`)
    throw new Error(
      `${stuck.length} jobs did not come to rest, and for ${seconds} s none of them did:\n  ${await describeJobs(fleet, stuck.slice(0, MAX_DESCRIBED))}\ndue: ${due.join(' ')}\naccount: ${JSON.stringify(account)}\n${words.join('\n')}`,
      { cause: error },
    )
  }
}

/** One run: a load of jobs, a plan of faults, rest, and the verdict. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, jobs, seconds, settle, say } = options
  const length = seconds * 1000
  const variant = variantOf(seed, options.variant)
  say(`chaos: seed ${seed}, ${jobs} jobs, faults for ${seconds} s; ${describeVariant(variant)}`)
  const createsPerMinute = Math.max(3000, Math.ceil((jobs / seconds) * 60 * 3))
  // Drafts of batches that were never accepted expire within the run.
  const timings = { draftLife: 5000 }
  const fleet = await startChaosFleet({ seed, createsPerMinute, variant, timings })
  const receiver = await startRudeReceiver(fleet.inspect, fleet.keys, fleet.customers, seed)
  const first = firstStrikes(seed)
  const processes = [
    supervise(fleet, 'api', 'api', first.api),
    ...(variant.apis === 2 ? [supervise(fleet, 'api-2', 'api', first['api-2'], 1)] : []),
    supervise(fleet, 'worker-1', 'worker', first['worker-1']),
    supervise(fleet, 'worker-2', 'worker', first['worker-2']),
  ]
  const plan = planFaults(seed, length, variant)
  try {
    for (const url of fleet.apiUrls)
      await waitFor('the api to serve', async () => (await fetch(`${url}/livez`)).ok, { timeout: 60_000 })
    const load = startLoad({ apiUrls: fleet.apiUrls, customers: fleet.customers, seed, jobs, length })
    const operator = startOperator(fleet, seed, createsPerMinute)
    const faults = injectFaults(fleet, processes, plan)
    await faults.done
    await operator.lift()
    say(
      `chaos: the faults have ended, ${load.orders.filter(({ ids, refused }) => ids.size > 0 || refused).length} orders are answered`,
    )
    let answered = false
    void load.submitted.then(() => (answered = true))
    await waitFor('every order to be answered', () => answered, { timeout: settle * 1000 })
    await untilRest(fleet, processes, settle)
    await receiver.settle(settle * 1000)
    const verdict = await judge(fleet, load.orders)
    load.stop()
    verdict.violations.push(...load.complaints, ...(await receiver.judge(await readAll(fleet))))
    if (verdict.violations.length > 0) {
      const named = (await readAll(fleet)).filter(({ job }) => verdict.violations.some((text) => text.includes(job.id)))
      say(`chaos: the jobs of the violations:\n  ${await describeJobs(fleet, named.slice(0, MAX_DESCRIBED))}`)
    }
    return {
      ...verdict,
      variant,
      webhooks: receiver.counts(),
      faults: Object.fromEntries([...faults.counts].sort()),
      restarts: total(processes.map(({ ends }) => ends)),
      struck: total(processes.map(({ struck }) => struck)),
    }
  } catch (error) {
    say(`chaos: seed ${seed} failed; its plan:\n${plan.map(describeFault).join('\n')}`)
    throw error
  } finally {
    await Promise.all(processes.map((one) => one.stop()))
    receiver.stop()
    await fleet.stop()
  }
}

function total(maps: ReadonlyMap<string, number>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const map of maps) for (const [key, n] of map) sum[key] = (sum[key] ?? 0) + n
  return sum
}

/** The report as text. */
export function formatReport(seed: number, report: ChaosReport): string {
  const list = (counts: Record<string, number>): string =>
    Object.entries(counts)
      .filter(([, n]) => n > 0)
      .map(([name, n]) => `${name} ${n}`)
      .join(', ') || 'none'
  return `${[
    `seed                ${seed}`,
    `deployment          ${describeVariant(report.variant)}`,
    `jobs                ${report.jobs}: ${list(report.phases)}`,
    `batches             ${report.batches}`,
    `without the credits ${report.refused} orders`,
    `attempts            ${report.attempts}`,
    `webhooks            ${list(report.webhooks)}`,
    `faults              ${list(report.faults)}`,
    `processes ended     ${list(report.restarts)}`,
    `struck              ${list(report.struck)}`,
    `duplicates          ${report.duplicates}`,
    `orphans counted     ${report.orphans}`,
    `losses              ${report.losses}`,
    `asked for twice     ${report.surplus.jobs} without a key, ${report.surplus.front} through Replicate's API`,
    `longest time open   ${(report.longestOpen / 1000).toFixed(1)} s`,
    `violations          ${report.violations.length === 0 ? 'none' : ''}`,
    ...report.violations.map((violation) => `  ${violation}`),
  ].join('\n')}\n`
}
