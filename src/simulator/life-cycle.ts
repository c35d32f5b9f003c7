import { ownerOf } from './accounts.ts'
import type { Blobs } from './blobs.ts'
import type { Clock, Timer } from './clock.ts'
import type { Habits } from './habits.ts'
import { messageId } from './identifiers.ts'
import type { InputFiles } from './input-files.ts'
import type { Catalogue } from './models/catalogue.ts'
import type { Model } from './models/model.ts'
import type { Training } from './models/training.ts'
import type { PredictionBook } from './prediction-book.ts'
import { plannedEnd, type Prediction, type RunEnd, startedAtOf, type WebhookEvent } from './prediction.ts'
import { contentMarks, type ViewContext, webhookBodyOf } from './prediction-view.ts'
import type { OutputFiles } from './output-files.ts'
import { metricsOf, reportedMetrics } from './run-metrics.ts'
import { billedSecondsOf, costOf } from './run-plan.ts'
import { FILES_AT } from './run-stages.ts'
import type { WebhookSender } from './webhook-sender.ts'

/**
 * Advances predictions. `createdAt` and the plan determine a run's state at any moment; timers only act on changes:
 * announce the start, announce new output, record the completion. After a restart `resume` sets the same timers again.
 */
export interface LifeCycle {
  begin(prediction: Prediction): void
  /** Cancels a prediction. A finished one stays unchanged. */
  cancel(prediction: Prediction): void
  /** Resolves when the prediction is over or the time has passed. */
  waitForEnd(prediction: Prediction, ms: number): Promise<void>
  /** Lets predictions of a deployment begin that waited for an instance. */
  releaseQueue(deployment: string): void
  /** Resumes the predictions of an earlier process. */
  resume(): void
  forget(): void
  stop(): void
}

interface Parts {
  clock: Clock
  book: PredictionBook
  catalogue: Catalogue
  inputs: InputFiles
  files: OutputFiles
  blobs: Blobs
  webhooks: WebhookSender
  habits: () => Habits
  log: (line: object) => void
}

interface Running {
  prediction: Prediction
  timer: Timer | undefined
  /** What was announced last of each, and when. */
  output: Announced
  logs: Announced
}

interface Announced {
  mark: number
  at: number
}

/** Shortest interval between two `logs` webhooks. */
const LOGS_THROTTLE_MS = 500
/** Shortest interval between two looks at a run, where each output is announced. */
const LOOK_EVERY_MS = 5
/** Smallest `predict_time`, as recorded for a cancel right after the create. */
const CANCELED_BEFORE_START_MS = 0.003

export function createLifeCycle(parts: Parts): LifeCycle {
  const { clock, book, catalogue, inputs, files, blobs, webhooks, habits, log } = parts
  const running = new Map<string, Running>()
  let isStopped = false
  const waiters = new Map<string, Set<() => void>>()

  function contextOf(prediction: Prediction, model: Model, now: number): ViewContext {
    const { privateKey } = book.identity
    return { model, now, origin: prediction.origin, privateKey, habits: habits(), dataUri: files.dataUri }
  }

  function step(prediction: Prediction): void {
    const run = running.get(prediction.id)
    if (run === undefined || prediction.end !== null) return
    const model = catalogue.ofPrediction(prediction)
    const now = clock.now()
    const end = plannedEnd(prediction)
    const startedAt = startedAtOf(prediction)
    if (startedAt !== null && startedAt <= now && (end === null || end.startedAt !== null)) {
      announceStart(prediction, model, startedAt)
    }
    if (end !== null && end.at <= now) {
      // A moment later: at the end itself rounding may hide the last output.
      if (end.status === 'succeeded') announceProgress(prediction, model, run, end.at + 1, 'last')
      return finish(prediction, model, end)
    }
    announceProgress(prediction, model, run, now)
    schedule(prediction, run, nextStepAt(prediction, run, startedAt, end, now) - now)
  }

  function schedule(prediction: Prediction, run: Running, ms: number): void {
    if (ms === Infinity) return
    run.timer = clock.after(Math.ceil(Math.max(0, ms)), () => step(prediction))
  }

  function nextStepAt(
    prediction: Prediction,
    run: Running,
    startedAt: number | null,
    end: RunEnd | null,
    now: number,
  ): number {
    const endAt = end?.at ?? Infinity
    if (startedAt === null) return endAt
    if (startedAt > now) return Math.min(startedAt, endAt)
    const filesAt = startedAt + prediction.plan.runForMs * FILES_AT
    const looks = progressEvents(prediction).map((event) => {
      const next = run[event].at + throttleOf(event)
      return next > now ? next : now + Math.max(throttleOf(event), LOOK_EVERY_MS)
    })
    return Math.min(endAt, ...looks, looks.length > 0 && filesAt > now ? filesAt : Infinity)
  }

  function announceStart(prediction: Prediction, model: Model, startedAt: number): void {
    if (prediction.startAnnounced) return
    book.markStartAnnounced(prediction)
    announce('start', prediction, model, startedAt, 0, habits().start_status)
  }

  const throttleOf = (event: 'output' | 'logs') =>
    event === 'output' ? habits().output_webhook_seconds * 1000 : LOGS_THROTTLE_MS

  /** @param isLast an output that was held back is announced now: there is no later moment */
  function announceProgress(prediction: Prediction, model: Model, run: Running, now: number, isLast?: 'last'): void {
    const due = progressEvents(prediction).filter(
      (event) => now - run[event].at >= throttleOf(event) || (isLast !== undefined && event === 'output'),
    )
    if (due.length === 0) return
    const marks = contentMarks(prediction, contextOf(prediction, model, now))
    for (const event of due) {
      if (marks[event] <= run[event].mark) continue
      run[event] = { mark: marks[event], at: now }
      announce(event, prediction, model, now, marks[event])
    }
  }

  function finish(prediction: Prediction, model: Model, end: RunEnd): void {
    const seconds = end.startedAt === null ? 0 : (end.at - end.startedAt) / 1000
    const total = (end.at - prediction.createdAt) / 1000
    const metrics =
      end.startedAt === null
        ? {}
        : metricsOf(prediction, model, { succeeded: end.status === 'succeeded', seconds, total })
    const billedSeconds = billedSecondsOf(prediction, end.status, seconds)
    const cost = billedSeconds === 0 ? 0 : costOf(model, billedSeconds, metrics)
    running.get(prediction.id)?.timer?.cancel()
    running.delete(prediction.id)
    book.end(prediction, { end, metrics: reportedMetrics(prediction, metrics), billedSeconds, cost })
    if (end.status === 'succeeded' && prediction.training !== undefined) publish(prediction.training, end.at)
    log({ event: 'prediction_ended', prediction: prediction.id, status: end.status, seconds })
    announceEnd(prediction, model)
    for (const wake of waiters.get(prediction.id) ?? []) wake()
    waiters.delete(prediction.id)
    if (prediction.deployment !== null) releaseQueue(prediction.deployment, end.at)
  }

  /** Runs of a deployment that have an instance, or wait for one, the oldest first. */
  const runsOf = (deployment: string, isQueued: boolean): Running[] =>
    [...running.values()].filter(
      ({ prediction: one }) =>
        one.deployment === deployment && (one.queued === true) === isQueued && one.plan.startAfterMs !== null,
    )

  const instancesOf = (deployment: string): number =>
    catalogue.deployment(deployment)?.deployment.maxInstances ?? Infinity

  const isFull = ({ deployment, plan }: Prediction): boolean =>
    deployment !== null && plan.startAfterMs !== null && runsOf(deployment, false).length >= instancesOf(deployment)

  function releaseQueue(deployment: string, at: number): void {
    const free = instancesOf(deployment) - runsOf(deployment, false).length
    if (free <= 0) return
    for (const run of runsOf(deployment, true).slice(0, free)) {
      run.timer?.cancel()
      book.markDequeued(run.prediction, at)
      step(run.prediction)
    }
  }

  function publish({ destination, version, like }: Training, at: number): void {
    book.change({ t: 'version', version, row: { id: version, model: destination, like, createdAt: at } })
  }

  function announceEnd(prediction: Prediction, model: Model): void {
    const silent = prediction.end?.status === 'aborted' && !habits().completed_on_aborted
    const settled = () => book.markSettled(prediction)
    const { webhook } = prediction
    if (webhook === null || !isHttp(webhook) || !prediction.events.includes('completed') || silent) return settled()
    announce('completed', prediction, model, clock.now(), 0, undefined, settled)
  }

  function announce(
    event: WebhookEvent,
    prediction: Prediction,
    model: Model,
    now: number,
    sequence: number,
    status?: string,
    settled?: () => void,
  ): void {
    const { webhook } = prediction
    if (webhook === null || !prediction.events.includes(event) || !isHttp(webhook)) return
    const send = () => {
      if (isStopped) return
      const id = messageId(book.identity.privateKey, prediction.id, event, sequence)
      const body = webhookBodyOf(prediction, contextOf(prediction, model, now), status)
      const account = ownerOf(prediction)
      webhooks.send({ id, event, url: webhook, body, prediction: prediction.id, account }, settled)
    }
    const preparation = files.prepare(prediction)
    if (preparation === null) send()
    else void clock.hold(preparation.catch(logFailure(prediction)).then(send))
  }

  const logFailure = (prediction: Prediction) => (error: unknown) =>
    log({ event: 'output_failed', prediction: prediction.id, error: String(error) })

  function begin(prediction: Prediction): void {
    if (isStopped) return
    if (prediction.queued === undefined && isFull(prediction)) book.markQueued(prediction)
    const run: Running = { prediction, timer: undefined, output: { mark: 0, at: 0 }, logs: { mark: 0, at: 0 } }
    running.set(prediction.id, run)
    step(prediction)
    if (prediction.inputs === null && prediction.plan.startAfterMs !== null) {
      void clock.hold(fetchInputs(prediction, run))
    }
  }

  async function fetchInputs(prediction: Prediction, run: Running): Promise<void> {
    const ready = await inputs.fetch(prediction, catalogue.ofPrediction(prediction))
    if (isStopped) return
    // Canceled, aborted or reset during the fetch.
    if (running.get(prediction.id) !== run) return blobs.remove(prediction.id)
    run.timer?.cancel()
    book.markInputsReady(prediction, ready)
    step(prediction)
  }

  function forget(): void {
    for (const { timer } of running.values()) timer?.cancel()
    running.clear()
    for (const wake of [...waiters.values()].flatMap((set) => [...set])) wake()
    waiters.clear()
  }

  return {
    begin,
    cancel(prediction) {
      if (prediction.end !== null) return
      const model = catalogue.ofPrediction(prediction)
      const now = clock.now()
      const planned = plannedEnd(prediction)
      if (planned !== null && planned.at <= now) return finish(prediction, model, planned)
      const startedAt = startedAtOf(prediction)
      const ran = startedAt !== null && startedAt <= now
      const end = ran ? { at: now, startedAt } : { at: now + CANCELED_BEFORE_START_MS, startedAt: now }
      finish(prediction, model, { status: 'canceled', ...end })
    },
    waitForEnd(prediction, ms) {
      if (prediction.end !== null || isStopped) return Promise.resolve()
      return new Promise((resolve) => {
        const wakers = waiters.get(prediction.id) ?? new Set()
        waiters.set(prediction.id, wakers)
        const timer = clock.after(ms, wake)
        function wake(): void {
          timer.cancel()
          wakers.delete(wake)
          resolve()
        }
        wakers.add(wake)
      })
    },
    releaseQueue: (deployment) => releaseQueue(deployment, clock.now()),
    resume() {
      for (const prediction of book.all()) {
        if (prediction.end === null) begin(prediction)
        else if (!prediction.settled) announceEnd(prediction, catalogue.ofPrediction(prediction))
      }
    },
    forget,
    stop() {
      isStopped = true
      forget()
    },
  }
}

/** The events of a run's progress that its webhook gets. */
const progressEvents = ({ webhook, events }: Prediction) =>
  webhook === null ? [] : (['output', 'logs'] as const).filter((event) => events.includes(event))

/** A webhook that is no such URL is accepted by default and gets nothing. */
const isHttp = (webhook: string) => /^https?:$/.test(URL.parse(webhook)?.protocol ?? '')
