import type { Rate } from '../limits/rules/budget.ts'
import type { ArtifactStore } from '../artifacts/artifact-store.ts'
import { mapLimited } from '../values/concurrency.ts'
import type { LedgerSource } from '../credits/verify-ledger.ts'
import { RECOVERED } from '../jobs/rules/job.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { labelMembers } from '../jobs/record/label-member.ts'
import { attemptId, dueNotice, keptFilesOf } from '../jobs/record/due-member.ts'
import { endsOf, FIRST_KEEP, type DeploymentKeep } from '../jobs/rules/keep.ts'
import { filesAfter } from '../jobs/rules/purge.ts'
import { DEFAULT_TIMINGS, type Timings } from '../jobs/rules/timings.ts'
import { isTerminal, type Prediction } from '../replicate/rules/prediction.ts'
import type { WebhookTokens } from '../replicate/rules/webhook-token.ts'
import { checkKeptMember, checkKeptFiles } from './check-files.ts'
import { checkInputs, checkUploads } from './check-inputs.ts'
import { checkLabels } from './check-labels.ts'
import { checkJob, ghost, type IndexMember, type LoadedJob } from './rules/check-job.ts'
import { checkBudget, checkCounters, checkUpstream, type AttemptFacts } from './rules/check-upstream.ts'
import { checkBatchMember, checkBatches, checkBudgets, checkLedgers, checkFlight } from './check-shared-state.ts'
import { checkNotifications } from './check-notifications.ts'
import { checkOrder, waitingIn } from './rules/check-order.ts'
import type { BudgetSource } from '../credits/verify-budgets.ts'
import { createShareCount, type Share } from './rules/recount-shares.ts'
import { checkStored } from './check-stored.ts'
import { compareFile } from './compare-file.ts'
import { problem, type Command, type Finding, type Invariant, type Problem } from './rules/finding.ts'
import { entryTarget, type AuditSource, type KeyNames, type Loaded } from './audit-source.ts'

export type { Finding } from './rules/finding.ts'

export interface AuditOptions {
  source: AuditSource
  ledgers: LedgerSource & BudgetSource
  keys: JobKeys
  /** The accounts, with the budget of creates that was in force in the last hour; null: it is not checked. */
  accounts: Readonly<Record<string, Rate | null>>
  timings?: Timings
  /** Configured retention; default: that of the first release. */
  keep?: Pick<DeploymentKeep, 'usual'>
  /** The predictions of an account at upstream, at least those of the last hour; null when it cannot be listed. */
  upstream?: { list(account: string): Promise<Prediction[] | null>; tokens: WebhookTokens }
  /** When present, stored files are read and compared with their records. */
  artifacts?: Pick<ArtifactStore, 'open'>
  /** Makes the safe repairs; the report lists them. */
  repair?: boolean
  /** The service is at rest: every job must be final, and nothing due. */
  quiescent?: boolean
}

export interface AuditReport {
  /** Violations that were not repaired. */
  findings: Finding[]
  repaired: Finding[]
  /** Ids of records of a newer release, which were not checked. */
  skipped: string[]
  jobs: number
  attempts: number
  /** Number of predictions that upstream listed; null when no account was listed. */
  predictions: number | null
  /** What each tenant has had of the creates, by class, and the longest waits: recounted from the records. */
  shares: Share[]
}

/** Number of jobs that are read concurrently. */
const AT_ONCE = 50

/**
 * Checks every record, index, counter and due time, and upstream's list, and reports violated invariants. It may run while
 * the service runs: each job is read atomically with everything that names it.
 */
export async function runAudit(options: AuditOptions): Promise<AuditReport> {
  const { source } = options
  const began = await source.now()
  const listed = await listAccounts(options)
  const audit = createWalk(options, began)
  await audit.walk()
  const checks = { timings: options.timings ?? DEFAULT_TIMINGS, quiescent: options.quiescent ?? false }
  const problems = [
    ...audit.problems,
    ...(options.upstream && listed.size > 0
      ? checkUpstream(
          { began, predictions: await notDeleted(options, listed), tokens: options.upstream.tokens },
          new Map([...audit.facts].filter(([, { attempt }]) => listed.has(attempt.account))),
          audit.unread,
          checks,
        )
      : []),
    ...Object.entries(options.accounts).flatMap(([account, creates]) =>
      creates === null
        ? []
        : checkBudget(
            audit.intents.filter((one) => one.account === account),
            creates,
          ),
    ),
  ]
  const repaired = new Set<Problem>()
  if (options.repair)
    for (const problem of problems) if (problem.repairable && (await source.repair(problem))) repaired.add(problem)
  return {
    findings: problems.filter((problem) => !repaired.has(problem)).map(asFinding),
    repaired: [...repaired].map(asFinding),
    skipped: audit.skipped,
    jobs: audit.jobs(),
    attempts: audit.attempts(),
    predictions: listed.size === 0 ? null : [...listed.values()].flat().length,
    shares: audit.shares(),
  }
}

/** Leaves out the predictions of deleted jobs, which are recorded as foreign. */
async function notDeleted(
  { source, keys }: AuditOptions,
  listed: ReadonlyMap<string, Prediction[]>,
): Promise<Prediction[]> {
  const kept: Prediction[] = []
  for (const [account, predictions] of listed)
    for (const one of predictions)
      if (!one.webhook || !(await source.holds('zset', keys.foreign(account), one.id))) kept.push(one)
  return kept
}

/** The predictions of the accounts that can be listed. */
async function listAccounts({ accounts, upstream }: AuditOptions): Promise<Map<string, Prediction[]>> {
  const listed = new Map<string, Prediction[]>()
  for (const account of upstream ? Object.keys(accounts) : []) {
    const predictions = await upstream?.list(account)
    if (predictions) listed.set(account, predictions)
  }
  return listed
}

const asFinding = ({ invariant, id, detail, repairable }: Problem): Finding => ({ invariant, id, detail, repairable })

function createWalk(options: AuditOptions, began: number) {
  const { source, keys, accounts, artifacts } = options
  const checks = {
    keys,
    timings: options.timings ?? DEFAULT_TIMINGS,
    keep: options.keep ?? { usual: FIRST_KEEP },
    quiescent: options.quiescent ?? false,
  }
  const since = began - checks.timings.outputLifetime
  const problems: Problem[] = []
  const skipped: string[] = []
  /** Tenant of every job that was read. */
  const tenants = new Map<string, string>()
  /** Tenant and member of the index by labels, for each label of a job that was read. */
  const labeled = new Set<string>()
  const unread = new Set<string>()
  const drafts = new Set<string>()
  const phases = new Map<string, number>()
  const facts = new Map<string, AttemptFacts>()
  const intents: { id: string; at: number; account: string }[] = []
  const shares = createShareCount()
  let attempts = 0

  function say(invariant: Invariant, id: string, detail: string, fix: Command[] = [], guard: Problem['guard'] = null) {
    problems.push(problem(invariant, id, detail, fix, guard))
  }

  const isKnown = (id: string): boolean => tenants.has(id) || unread.has(id) || drafts.has(id)

  async function visitJob(id: string): Promise<void> {
    const result = await source.load(id)
    if (result.kind === 'missing') return
    if (result.kind === 'draft') return void drafts.add(id)
    if (result.phase !== '') phases.set(result.phase, (phases.get(result.phase) ?? 0) + 1)
    if (result.kind !== 'job') unread.add(id)
    if (result.kind === 'newer') skipped.push(id)
    if (result.kind === 'broken') say('record_readable', id, result.detail)
    if (result.kind !== 'job') return
    const { loaded } = result
    const { job } = loaded.state
    tenants.set(id, job.tenant)
    for (const member of labelMembers(job)) labeled.add(`${job.tenant} ${member}`)
    problems.push(...checkJob(loaded, checks))
    rememberAttempts(loaded)
    shares.add(loaded.state, loaded.now)
    problems.push(...(await checkInputs(job, { source, keys, artifacts })))
    if (artifacts && job.phase === 'succeeded') await checkFiles(loaded, artifacts)
  }

  /** Older attempts cannot be compared with upstream any more. */
  function rememberAttempts({ state }: LoadedJob): void {
    const { job } = state
    attempts += state.attempts.length
    const canceling = state.effects.flatMap((effect) => (effect.kind === 'cancel' ? [effect.prediction_id] : []))
    for (const attempt of state.attempts) {
      if (!(attempt.account in accounts)) continue
      const ended = attempt.outcome !== null && isTerminal(attempt.outcome)
      if (attempt.state === 'closed' && ended && (attempt.closed_at ?? 0) < since) continue
      facts.set(attemptId(job.id, attempt.n), { job, attempt, canceling })
      // A recovered attempt has no known intent time, because Redis lost the intent.
      if (attempt.intended_at >= since && attempt.claim !== RECOVERED)
        intents.push({ id: attemptId(job.id, attempt.n), at: attempt.intended_at, account: attempt.account })
    }
  }

  async function checkFiles({ state, now }: LoadedJob, store: Pick<ArtifactStore, 'open'>): Promise<void> {
    const { job } = state
    const ends = endsOf(job, checks.keep)
    // Files with the same retention as the record are removed before it.
    if (ends !== null && now >= ends.job && !filesAfter(job, ends).stay) return
    for (const artifact of job.artifacts) {
      const wrong = await compareFile(store, artifact)
      if (wrong !== null) say('artifact_stored', job.id, `${artifact.id}: ${wrong}`)
    }
  }

  async function visitAll(names: KeyNames): Promise<void> {
    await mapLimited([...names.jobs], AT_ONCE, visitJob)
  }

  /** Reports each member of an index that names nothing. */
  async function visitIndex(
    kind: 'zset' | 'set',
    key: string,
    read: (member: string) => IndexMember | BatchMember | FilesMember | NoticeMember | null,
  ): Promise<void> {
    for await (const page of source.members(kind, key))
      for (const member of page) {
        const target = read(member)
        if (target === null) say('index_member_exists', member, `${key}: unreadable member`)
        else if (target.kind === 'batch') problems.push(...(await checkBatchMember(source, key, member, target.batch)))
        else if (target.kind === 'owed') await visitNotice(target.tenant, target.notice)
        else if (target.kind === 'files')
          problems.push(...(await checkKeptMember({ source, keys }, member, target.job)))
        else if (target.kind !== 'job' || !isKnown(target.job)) await visitMember(kind, key, member, target)
      }
  }

  async function visitMember(kind: 'zset' | 'set', key: string, member: string, target: IndexMember): Promise<void> {
    const result = await source.load(target.job)
    if (result.kind === 'newer' || result.kind === 'broken' || result.kind === 'draft') return
    const why = ghost(target, result.kind === 'job' ? result.loaded : null)
    if (why === null) return
    const rev = revisionOf(result)
    // It may have been removed correctly between the two reads.
    if (!(await source.holds(kind, key, member)) || (await source.revision(target.job)) !== rev) return
    say('index_member_exists', member, `${key}: ${why}`, [[kind === 'set' ? 'srem' : 'zrem', key, member]], {
      job: target.job,
      rev,
    })
  }

  /** A row of a tenant's outbox and its member of the due index exist together. */
  async function visitNotice(tenant: string, id: string): Promise<void> {
    const { member } = dueNotice(tenant, id)
    const [isOwed, isDue] = await source.notice(tenant, id, member)
    if (isDue && !isOwed)
      say('index_member_exists', member, `${keys.due}: the notice does not exist`, [['zrem', keys.due, member]])
    if (isOwed && !isDue) {
      const at = String(await source.now())
      say('due', member, 'the notice is owed, but it has no due time', [['zadd', keys.due, 'NX', at, member]])
    }
  }

  async function visitIndexes(names: KeyNames): Promise<void> {
    for (const { key, tenant } of names.tenants) {
      await visitIndex('zset', key, (job) => ({ kind: 'job', job }))
      for await (const page of source.members('zset', key))
        for (const job of page) {
          const other = tenants.get(job)
          if (other !== undefined && other !== tenant)
            say('indexed', job, `a job of ${other} in ${key}`, [['zrem', key, job]])
        }
    }
    await visitIndex('zset', keys.retention, readRetention)
    await visitIndex('zset', keys.due, readDue)
    await visitIndex('zset', keys.storing, readAttempt)
    for (const key of names.open) await visitIndex('set', key, readAttempt)
    for (const key of names.unknown) await visitIndex('zset', key, readAttempt)
    for (const tenant of names.notices)
      for (const id of await source.notices(tenant)) {
        await visitNotice(tenant, id)
        if (checks.quiescent) say('at_rest', dueNotice(tenant, id).member, 'owed')
      }
  }

  /** Keys that name a job, and that are removed with it. */
  async function visitPointers(names: KeyNames): Promise<void> {
    for (const [id, parts] of names.parts)
      if (!isKnown(id) && (await source.load(id)).kind === 'missing')
        for (const part of parts) say('record_complete', id, `its ${part} still exists`)
    for (const { key, id } of names.predictions) await visitPrediction(key, id)
    for (const { key, entry } of names.idempotency) {
      const text = await source.text(key)
      if (text === null) continue
      const { kind, id } = entryTarget(text)
      const named = kind === 'job' ? await entryOfJob(id) : await entryOfBatch(id)
      if (named === 'unreadable' || named?.entry === entry) continue
      if ((await source.text(key)) === text)
        say('idempotent', entry, named ? `names ${id}, which does not name it` : `names ${id}, which does not exist`)
    }
  }

  /** The entry that a job names; null when the job does not exist. */
  async function entryOfJob(id: string): Promise<{ entry: string | null } | 'unreadable' | null> {
    const result = await source.load(id)
    if (result.kind === 'missing' || result.kind === 'draft') return null
    return result.kind === 'job' ? { entry: result.loaded.state.job.idempotency } : 'unreadable'
  }

  async function entryOfBatch(id: string): Promise<{ entry: string | null } | 'unreadable' | null> {
    const result = await source.loadBatch(id)
    if (result.kind === 'missing') return null
    return result.kind === 'batch' ? { entry: result.loaded.batch.idempotency } : 'unreadable'
  }

  async function visitPrediction(key: string, id: string): Promise<void> {
    const owner = await source.text(key)
    const target = owner === null ? null : readAttempt(owner)
    if (owner === null) return
    if (target === null) return say('prediction_owned_once', id, `the index assigns it to ${owner}`)
    const result = await source.load(target.job)
    if (result.kind === 'newer' || result.kind === 'broken') return
    const attempt = result.kind === 'job' ? result.loaded.state.attempts.find(({ n }) => n === target.attempt) : null
    if (attempt?.prediction_id === id || (await source.text(key)) !== owner) return
    const rev = revisionOf(result)
    const gone = result.kind === 'missing'
    say(
      'prediction_owned_once',
      id,
      `the index assigns it to ${owner}, which ${gone ? 'does not exist' : `owns ${attempt?.prediction_id ?? 'none'}`}`,
      gone ? [['del', key]] : [],
      { job: target.job, rev },
    )
  }

  return {
    problems,
    skipped,
    facts,
    intents,
    unread,
    shares: () => shares.all(),
    jobs: () => tenants.size + unread.size,
    attempts: () => attempts,

    async walk(): Promise<void> {
      const [event, before] = await Promise.all([source.lastEvent(), source.counters()])
      const names = await source.names()
      await visitAll(names)
      const after = await source.counters()
      const drift = [...new Set([...Object.keys(before), ...Object.keys(after)])]
        .map((phase) => Math.abs((after[phase] ?? 0) - (before[phase] ?? 0)))
        .reduce((sum, one) => sum + one, 0)
      const moved = (await source.eventsSince(event)) + drift
      problems.push(...checkCounters(keys.phases, after, phases, moved))
      await visitIndexes(names)
      const isLabeled = (tenant: string, member: string): boolean => labeled.has(`${tenant} ${member}`)
      problems.push(...(await checkLabels(source, names, isLabeled)))
      await visitPointers(names)
      const batches = await checkBatches(source, names, checks)
      problems.push(...batches.problems)
      skipped.push(...batches.skipped)
      problems.push(...(await checkFlight(source, checks)))
      const order = await source.order()
      problems.push(...checkOrder(order, keys))
      problems.push(...(await checkKeptFiles(names, { source, keys })))
      problems.push(...(await checkUploads(names, { source, keys, artifacts })))
      problems.push(...(await checkStored(source, keys)))
      problems.push(...(await checkNotifications(names, { source, keys })))
      problems.push(...(await checkLedgers(source, options.ledgers)))
      problems.push(...(await checkBudgets(source, names, options.ledgers)))
      if (tenants.size + unread.size > 0 && !(await source.sweepScheduled()))
        say('sweep_scheduled', 'sweep', 'no sweep is scheduled; a starting worker schedules it')
      if (!checks.quiescent) return
      if (waitingIn(order) > 0) say('at_rest', 'line', `${waitingIn(order)} entries of the order of waiting jobs`)
      const due = await source.dueCount()
      if (due > 0) say('at_rest', 'due', `${due} members are due`)
    },
  }
}

const revisionOf = (result: Loaded): string => (result.kind === 'job' ? String(result.loaded.state.job.rev) : '')

function readAttempt(member: string): (IndexMember & { kind: 'attempt' }) | null {
  const match = /^([^:]+):(\d+)$/.exec(member)
  return match?.[1] && match[2] ? { kind: 'attempt', job: match[1], attempt: Number(match[2]) } : null
}

type BatchMember = { kind: 'batch'; batch: string }
type NoticeMember = { kind: 'owed'; tenant: string; notice: string }
type FilesMember = { kind: 'files'; job: string }

function readRetention(id: string): IndexMember | BatchMember | FilesMember {
  const filesOf = keptFilesOf(id)
  if (filesOf !== null) return { kind: 'files', job: filesOf }
  return id.startsWith('bat_') ? { kind: 'batch', batch: id } : { kind: 'job', job: id }
}

function readDue(member: string): IndexMember | BatchMember | NoticeMember | null {
  const [kind, job, ...rest] = member.split(':')
  if (!job) return null
  if (kind === 'batch') return { kind, batch: job }
  if (kind === 'owed' && rest.length === 1) return { kind, tenant: job, notice: rest[0] ?? '' }
  if (kind === 'job') return { kind, job }
  if (kind === 'attempt' && rest.length === 1) return { kind, job, attempt: Number(rest[0]) }
  if (kind === 'effect' && rest.length > 0) return { kind, job, effect: rest.join(':') }
  return null
}
