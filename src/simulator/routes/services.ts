import type { Blobs } from '../blobs.ts'
import type { Budgets } from '../budgets.ts'
import type { Clock } from '../clock.ts'
import type { Examples } from '../examples.ts'
import type { Faults } from '../faults.ts'
import type { Habits } from '../habits.ts'
import type { LifeCycle } from '../life-cycle.ts'
import type { Catalogue } from '../models/catalogue.ts'
import type { OutputFiles } from '../output-files.ts'
import type { PredictionBook } from '../prediction-book.ts'
import type { RequestLog } from '../request-log.ts'
import type { Stubs } from '../stubs.ts'
import type { WebhookSender } from '../webhook-sender.ts'

/** The dependencies of the routes. */
export interface Services {
  clock: Clock
  book: PredictionBook
  catalogue: Catalogue
  examples: Examples
  lifeCycle: LifeCycle
  webhooks: WebhookSender
  faults: Faults
  stubs: Stubs
  requests: RequestLog
  files: OutputFiles
  /** The bytes of uploads and inputs. */
  blobs: Blobs
  /** Unconfirmed behaviour, changed at run time by `POST /_sim/habits`. */
  habits: { current: Habits }
  budgets: Budgets
  speed: number
  /** Aborted when the simulator stops; ends every wait. */
  stopping: AbortSignal
}
