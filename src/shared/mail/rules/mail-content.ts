import type { JobRecord } from '../../jobs/rules/job.ts'
import { CONFIRMATION_TYPE, type EventType, type NotificationType } from '../../notifications/rules/event-types.ts'
import { isObject, type Json, type JsonObject } from '../../values/json.ts'
import { oneLine, within, type MailText } from './mail-text.ts'

type Type = EventType | NotificationType

/** What a mail says. */
export interface Said {
  type: Type
  tenant: string
  /** `data` of the notification. */
  data: JsonObject
  /** The job as it is now; null: it concerns none, or its record is gone. */
  job: JobRecord | null
  /** The job or batch in Studio. */
  studio: string | null
  /** Files of the result. */
  files: string[]
  /** Of a recipient that the metadata of the job names: nothing that only the tenant may know. */
  isCustomer: boolean
  /** Where the address is confirmed, of the mail that asks for it. */
  confirm: string | null
}

const MOST_QUOTE = 2000
const MOST_FILES = 5
const MICRO = 1_000_000

const JOB_WORDS: Partial<Record<Type, string>> = {
  'job.started': 'has started',
  'job.succeeded': 'is finished',
  'job.failed': 'has failed',
  'job.canceled': 'was canceled',
  'artifact.at_risk': 'has a file that may be lost',
}

/** Tells runs apart; the end of an id is its random part. */
const shortOf = (id: string): string => id.slice(-6)

const objectIn = (data: JsonObject, name: string): JsonObject => {
  const value = data[name]
  return isObject(value) ? value : {}
}
const textIn = (data: JsonObject, name: string): string => {
  const value = data[name]
  return typeof value === 'string' ? value : ''
}
const numberIn = (data: JsonObject, name: string): number => {
  const value = data[name]
  return typeof value === 'number' ? value : 0
}

/** `story-page` is `Story page`, `owner/some-model` is `Some model`. */
function nameOf(job: JobRecord | null): string {
  const source = job?.preset ?? (job?.model ?? job?.deployment)?.split('/').at(-1) ?? 'run'
  const words = source.replaceAll(/[-_]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

function filesAsLinks(files: readonly string[]): MailText['links'] {
  const shown = files.slice(0, MOST_FILES)
  return shown.map((url, at) => ({ text: shown.length === 1 ? 'Open the file' : `Open file ${at + 1}`, url }))
}

const studioLink = (studio: string | null): MailText['links'] =>
  studio === null ? [] : [{ text: 'Open in Studio', url: studio }]

/** Only values that read as text. */
function metadataFacts(metadata: Json | undefined): MailText['facts'] {
  if (!isObject(metadata)) return []
  return Object.entries(metadata).flatMap(([name, value]) =>
    typeof value === 'string' || typeof value === 'number' ? [[oneLine(name, 40), String(value)] as const] : [],
  )
}

type Body = Omit<MailText, 'footer'>

function aboutJob({ type, data, job, studio, files, isCustomer }: Said, words: string): Body {
  const own = objectIn(data, 'job')
  const id = textIn(own, 'id')
  const name = nameOf(job)
  const prompt = isCustomer ? '' : oneLine(textIn(job?.input ?? {}, 'prompt'), 60)
  const what = prompt === '' ? name : `${name}, “${within(prompt)}”,`
  const error = objectIn(own, 'error')
  const quote = type === 'job.succeeded' && typeof job?.output === 'string' && files.length === 0 ? job.output : null
  const why = textIn(error, 'message')
  return {
    subject: `${what} ${words} (${shortOf(id)})`,
    heading: `${name} ${words}`,
    paragraphs: [
      ...(isCustomer || why === '' ? [] : [why]),
      ...(type === 'artifact.at_risk'
        ? ['A file of the result is not copied yet, and Replicate deletes its own copy soon.']
        : []),
    ],
    facts: isCustomer
      ? [['Reference', shortOf(id)]]
      : [
          ['Run', id],
          ...(prompt === '' ? [] : [['Prompt', prompt] as const]),
          ...(why === '' ? [] : [['Error', textIn(error, 'code')] as const]),
          ...metadataFacts(own['metadata']).slice(0, 8),
        ],
    quote: quote === null ? null : quote.length > MOST_QUOTE ? `${quote.slice(0, MOST_QUOTE)}…` : quote,
    links: isCustomer ? filesAsLinks(files) : [...studioLink(studio), ...filesAsLinks(files)],
  }
}

function aboutBatch({ data, studio, files, isCustomer }: Said): Body {
  const batch = objectIn(data, 'batch')
  const counts = objectIn(batch, 'counts')
  const id = textIn(batch, 'id')
  const ended = (['succeeded', 'failed', 'canceled'] as const)
    .filter((status) => numberIn(counts, status) > 0)
    .map((status) => `${numberIn(counts, status)} ${status}`)
    .join(', ')
  const total = plural(numberIn(counts, 'total'), 'run')
  return {
    subject: `Batch of ${total} is finished: ${ended} (${shortOf(id)})`,
    heading: `The batch of ${total} is finished`,
    paragraphs: [`${ended.charAt(0).toUpperCase()}${ended.slice(1)}.`],
    facts: isCustomer ? [['Reference', shortOf(id)]] : [['Batch', id], ...metadataFacts(batch['metadata']).slice(0, 8)],
    quote: null,
    links: isCustomer ? filesAsLinks(files) : [...studioLink(studio), ...filesAsLinks(files)],
  }
}

function aboutCredits({ type, tenant, data, studio }: Said): Body {
  const credits = objectIn(data, 'credits')
  const left = numberIn(credits, 'balance') / MICRO
  const isLow = type === 'credits.low'
  return {
    subject: isLow ? `Credits of ${tenant} are low: ${left} left` : `Credits of ${tenant} are used up`,
    heading: isLow ? 'Credits are low' : 'Credits are used up',
    paragraphs: [
      isLow
        ? 'Runs are refused when the credits do not cover their price.'
        : 'A run was refused because the credits do not cover its price.',
    ],
    facts: [
      ['Tenant', tenant],
      ['Credits left', String(left)],
    ],
    quote: null,
    links: studioLink(studio),
  }
}

function aboutBudget({ tenant, data, studio }: Said): Body {
  const budget = objectIn(data, 'budget')
  const id = textIn(budget, 'id')
  const title = textIn(budget, 'title')
  const name = title === '' ? shortOf(id) : `"${title}"`
  const level = numberIn(budget, 'level')
  const [used, limit] = [numberIn(budget, 'used') / MICRO, numberIn(budget, 'limit') / MICRO]
  const user = textIn(budget, 'user')
  return {
    subject: `Budget ${name} of ${tenant}: ${used} of ${limit} credits used`,
    heading: level >= 100 ? 'A budget is used up' : 'A budget is running out',
    paragraphs: [
      budget['hard'] === true
        ? 'Runs that do not fit into the rest are refused until it resets.'
        : 'Runs are not refused: this budget only counts.',
    ],
    facts: [
      ['Tenant', tenant],
      ['Budget', id],
      ...(user === '' ? [] : [['User', user] as const]),
      ['Used', `${used} of ${limit} credits`],
      ['Resets at', textIn(budget, 'resets_at')],
    ],
    quote: null,
    links: studioLink(studio),
  }
}

function aboutEndpoint({ type, tenant, data, confirm }: Said): Body {
  const endpoint = objectIn(data, 'endpoint')
  const id = textIn(endpoint, 'id')
  const rest = { facts: [['Tenant', tenant]] as [string, string][], quote: null }
  if (type === CONFIRMATION_TYPE)
    return {
      ...rest,
      subject: `Confirm that you want mail about the runs of ${tenant}`,
      heading: 'Confirm your address',
      paragraphs: [
        'Somebody asked to send mail about runs and their results to this address. Nothing else is sent before you confirm it.',
        'If you do not know about it, do nothing. The link is valid for 7 days.',
      ],
      links: confirm === null ? [] : [{ text: 'Confirm this address', url: confirm }],
    }
  if (type === 'endpoint.disabled')
    return {
      ...rest,
      subject: `An endpoint of ${tenant} was disabled (${shortOf(id)})`,
      heading: 'An endpoint was disabled',
      paragraphs: [textIn(endpoint, 'detail'), 'Its events are kept until it is enabled again.'],
      facts: [...rest.facts, ['Endpoint', id]],
      links: [],
    }
  return {
    ...rest,
    subject: `Test of mail to an endpoint of ${tenant}`,
    heading: 'This is a test',
    paragraphs: ['Mail to this address works.'],
    links: [],
  }
}

function bodyOf(said: Said): Body {
  const words = JOB_WORDS[said.type]
  if (words !== undefined) return aboutJob(said, words)
  if (said.type === 'batch.finished') return aboutBatch(said)
  if (said.type === 'budget.alert') return aboutBudget(said)
  return said.type.startsWith('credits.') ? aboutCredits(said) : aboutEndpoint(said)
}

/** What a mail says of an event. */
export const mailText = (said: Said): MailText => ({
  ...bodyOf(said),
  footer: said.isCustomer
    ? 'You get this mail because your address was given for this result.'
    : said.type === CONFIRMATION_TYPE
      ? 'This mail is sent only when somebody asks for it.'
      : `You get this mail because you confirmed this address for the runs of ${said.tenant}.`,
})
