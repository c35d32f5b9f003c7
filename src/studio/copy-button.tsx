import { useState } from 'react'
import { Check, Copy } from 'lucide-react'

/** `navigator.clipboard` is missing on pages served over plain http. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'off-screen'
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

export function CopyButton({ text, what, children }: { text: string; what: string; children?: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await copyText(text)
    setCopied(true)
    setTimeout(() => setCopied(false), 1_500)
  }
  return (
    <button
      type="button"
      className={children ? 'button' : 'icon-button small'}
      onClick={() => void copy()}
      aria-label={copied ? `${what} copied` : `Copy ${what}`}
      title={`Copy ${what}`}
    >
      {copied ? <Check /> : <Copy />}
      {children && <span>{copied ? 'Copied' : children}</span>}
    </button>
  )
}
