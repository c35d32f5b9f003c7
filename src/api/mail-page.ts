import { escapeHtml } from '../shared/values/escape-html.ts'

/** Pages that mails link to: one card, without scripts and images. */

export interface MailPage {
  title: string
  paragraphs: string[]
  /** The address that it is about; null: none. */
  address: string | null
  /** Text of the button, which posts to this page; null: no button. */
  action: string | null
  /** Value that the button sends as `do`; null: none. */
  value?: string
}

export const renderMailPage = ({ title, paragraphs, address, action, value }: MailPage): string => {
  const about = address === null ? '' : `<p class="address" dir="auto">${escapeHtml(address)}</p>`
  const button =
    action === null
      ? ''
      : `<form method="post"${value === undefined ? '' : ` action="?do=${encodeURIComponent(value)}"`}><button type="submit">${escapeHtml(action)}</button></form>`
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/mail/style.css"></head>
<body><main><h1>${escapeHtml(title)}</h1>${about}${paragraphs.map((text) => `<p>${escapeHtml(text)}</p>`).join('')}${button}</main></body></html>
`
}

export const MAIL_PAGE_STYLE = `:root{color-scheme:light dark;--bg:light-dark(#f4f4f6,#0e0e10);--card:light-dark(#fff,#1c1c20);
--text:light-dark(#18181b,#ededf0);--muted:light-dark(#5e5e68,#a0a0ab);--line:light-dark(#e6e6ea,#2e2e34);
--accent:light-dark(#3d4fe0,#97a4ff);--on:light-dark(#fff,#0e0e10)}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--bg);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
main{width:100%;max-width:28rem;padding:1.5rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{margin:0 0 .75rem;font-size:1.25rem;line-height:1.3}
p{margin:0 0 1rem;color:var(--muted);overflow-wrap:anywhere}.address{color:var(--text);font-weight:600}
form{margin:0}
button{font:inherit;font-weight:600;width:100%;padding:.75rem 1.25rem;min-height:2.75rem;border:0;border-radius:8px;
background:var(--accent);color:var(--on);cursor:pointer}
button:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
`
