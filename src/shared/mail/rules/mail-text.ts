import { escapeHtml } from '../../values/escape-html.ts'

/** What a mail says, before it is HTML and text. Texts come from models and clients: they are plain text. */
export interface MailText {
  subject: string
  heading: string
  paragraphs: string[]
  /** Names and values. */
  facts: (readonly [string, string])[]
  /** The first one is the button. */
  links: { text: string; url: string }[]
  /** A text that the model made. */
  quote: string | null
  /** Why the recipient gets it. */
  footer: string
}

const MOST_SUBJECT = 140
/** Writing systems from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]/

const CHARACTERS = new Intl.Segmenter()

/** The first characters of a text, as people count them. */
function firstOf(text: string, most: number): string {
  let count = 0
  for (const { index } of CHARACTERS.segment(text)) if (count++ === most) return text.slice(0, index)
  return text
}

/**
 * One line of at most `most` characters. Control and format characters become spaces, so that a text can neither begin another
 * line of a header nor change the direction of what follows it.
 */
export function oneLine(text: string, most: number): string {
  const line = text
    .slice(0, most * 4)
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  const beginning = firstOf(line, most)
  return beginning.length === line.length ? line : `${firstOf(line, most - 1)}…`
}

/** Several lines, without characters that change what follows. */
const lines = (text: string): string => text.replaceAll(/(?!\n)[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim()

/** A text within another one: from right to left it is isolated. */
export const within = (text: string): string => (RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text)

/** Whatever it is made of, it stays one line. */
export const subjectOf = ({ subject }: MailText): string =>
  firstOf(subject.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' '), MOST_SUBJECT)

/** `unsubscribe`: URL of the page; null: there is nothing to unsubscribe from. */
export function renderText(mail: MailText, unsubscribe: string | null): string {
  const blocks = [
    mail.heading,
    ...mail.paragraphs.map(lines),
    mail.facts.map(([name, value]) => `${name}: ${within(oneLine(value, 300))}`).join('\n'),
    mail.quote === null ? '' : lines(mail.quote).replaceAll(/^/gm, '> '),
    mail.links.map(({ text, url }) => `${text}:\n${url}`).join('\n\n'),
    `--\n${mail.footer}${unsubscribe === null ? '' : `\nNo more of these mails:\n${unsubscribe}`}`,
  ]
  return `${blocks.filter(Boolean).join('\n\n')}\n`
}

const STYLE = `:root{color-scheme:light dark;supported-color-schemes:light dark}
@media(prefers-color-scheme:dark){.page{background:#0e0e10!important}.card{background:#1c1c20!important;border-color:#2e2e34!important}
.text{color:#ededf0!important}.quiet{color:#a0a0ab!important}.button{background:#97a4ff!important;color:#0e0e10!important}
.link{color:#97a4ff!important}.quote{border-color:#3a3a42!important}}`
const FONT = 'font-family:system-ui,-apple-system,Segoe UI,Roboto,sans-serif;'

/** `picture`: the URL of a picture in the mail; null: none. Every text has its own direction. */
export function renderHtml(
  mail: MailText,
  { unsubscribe, picture }: { unsubscribe: string | null; picture: string | null },
): string {
  const text = (tag: string, style: string, content: string, kind = 'text'): string =>
    `<${tag} dir="auto" class="${kind}" style="margin:0 0 16px;color:${kind === 'quiet' ? '#5e5e68' : '#18181b'};${style}">${content}</${tag}>`
  const facts = mail.facts
    .map(
      ([name, value]) =>
        `<tr><th scope="row" class="quiet" style="padding:0 16px 6px 0;text-align:start;vertical-align:top;font-weight:400;color:#5e5e68">${escapeHtml(name)}</th>` +
        `<td dir="auto" class="text" style="padding:0 0 6px;color:#18181b;overflow-wrap:anywhere">${escapeHtml(oneLine(value, 300))}</td></tr>`,
    )
    .join('')
  const links = mail.links.map(({ text: label, url }, at) =>
    at === 0
      ? `<p style="margin:0 0 16px"><a class="button" href="${escapeHtml(url)}" style="display:inline-block;padding:12px 20px;border-radius:8px;background:#3d4fe0;color:#ffffff;text-decoration:none;font-weight:600">${escapeHtml(label)}</a></p>`
      : `<p style="margin:0 0 8px"><a class="link" href="${escapeHtml(url)}" style="color:#3d4fe0">${escapeHtml(label)}</a></p>`,
  )
  const quote =
    mail.quote === null
      ? ''
      : `<blockquote dir="auto" class="text quote" style="margin:0 0 16px;padding:0 0 0 12px;border-inline-start:3px solid #d5d5db;color:#18181b;white-space:pre-wrap;overflow-wrap:anywhere">${escapeHtml(lines(mail.quote))}</blockquote>`
  const image =
    picture === null
      ? ''
      : `<p style="margin:0 0 16px"><img src="${escapeHtml(picture)}" alt="The first picture of the result" style="display:block;max-width:100%;height:auto;border-radius:8px"></p>`
  const end = `${escapeHtml(mail.footer)}${unsubscribe === null ? '' : ` <a class="link" href="${escapeHtml(unsubscribe)}" style="color:#3d4fe0">No more of these mails</a>`}`
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<title>${escapeHtml(mail.subject)}</title><style>${STYLE}</style></head>
<body class="page" style="margin:0;padding:24px 12px;background:#f4f4f6;${FONT}font-size:16px;line-height:1.5">
<div class="card" style="max-width:560px;margin:0 auto;padding:24px;background:#ffffff;border:1px solid #e6e6ea;border-radius:12px">
${text('h1', 'font-size:20px;line-height:1.3;overflow-wrap:anywhere', escapeHtml(mail.heading))}
${mail.paragraphs.map((one) => text('p', 'overflow-wrap:anywhere', escapeHtml(lines(one)))).join('\n')}
${image}${quote}${facts === '' ? '' : `<table style="margin:0 0 16px;border-collapse:collapse;font-size:14px"><tbody>${facts}</tbody></table>`}
${links.join('\n')}
</div>
<div style="max-width:560px;margin:16px auto 0;padding:0 24px">${text('p', 'font-size:13px', end, 'quiet')}</div>
</body></html>
`
}
