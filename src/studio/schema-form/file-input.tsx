import { useLayoutEffect, useRef, useState, type ClipboardEvent, type DragEvent, type ReactNode } from 'react'
import { FileIcon, Upload, X } from 'lucide-react'
import type { Json } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { bytes, plain } from '../format.ts'
import { mediaKind } from '../media.ts'
import { knownFile, sendFile } from '../send-file.ts'
import { useStudio } from '../studio-context.ts'
import type { ControlProps } from './control-props.ts'

interface Props extends ControlProps {
  title: string
  value: Json | undefined
  onChange: (value: Json | undefined) => void
}

/** One file: chosen, dropped, pasted, or given as a URL. */
export function FileInput({ title, value, onChange, ...rest }: Props) {
  const text = typeof value === 'string' ? value : ''
  const kept = /^(data:|\/v1\/)/.test(text)
  return (
    <DropPlace title={title} many={false} onSent={([url]) => url && onChange(url)}>
      {kept ? (
        <FileChip url={text} onRemove={() => onChange(undefined)} {...rest} />
      ) : (
        <input
          {...rest}
          type="url"
          inputMode="url"
          value={text}
          placeholder="or a link, https://"
          spellCheck={false}
          onChange={(event) => onChange(event.target.value || undefined)}
        />
      )}
    </DropPlace>
  )
}

/** Any number of files, one URL on each line. */
export function FileListInput({ title, value, onChange, ...rest }: Props) {
  const urls = Array.isArray(value) ? value.map(plain) : []
  const [typed, setTyped] = useState<string | null>(null)
  return (
    <DropPlace title={title} many onSent={(added) => onChange([...urls, ...added])}>
      <textarea
        {...rest}
        rows={2}
        value={typed ?? urls.join('\n')}
        placeholder="or links, one on each line"
        spellCheck={false}
        onChange={(event) => {
          setTyped(event.target.value)
          const lines = event.target.value.split('\n').flatMap((line) => (line.trim() ? [line.trim()] : []))
          onChange(lines.length > 0 ? lines : undefined)
        }}
        onBlur={() => setTyped(null)}
      />
    </DropPlace>
  )
}

interface DropPlaceProps {
  title: string
  many: boolean
  onSent: (urls: string[]) => void
  children: ReactNode
}

function DropPlace({ title, many, onSent, children }: DropPlaceProps) {
  const { client } = useStudio()
  const [over, setOver] = useState(false)
  const [state, setState] = useState<{ sending: boolean; problem: string | null }>({ sending: false, problem: null })
  const chooser = useRef<HTMLInputElement>(null)
  // The form stays editable during an upload. The latest callback is used, so nothing typed in the meantime is lost.
  const sent = useRef(onSent)
  useLayoutEffect(() => void (sent.current = onSent))

  async function take(list: FileList | null | undefined): Promise<void> {
    const files = [...(list ?? [])].slice(0, many ? 20 : 1)
    if (files.length === 0) return
    setState({ sending: true, problem: null })
    try {
      const urls: string[] = []
      for (const file of files) urls.push(await sendFile(client, file))
      sent.current(urls)
      setState({ sending: false, problem: null })
    } catch (error) {
      setState({ sending: false, problem: errorText(error) })
    }
  }

  return (
    <div
      className={over ? 'drop drop-over' : 'drop'}
      onDragOver={(event: DragEvent) => {
        if (!event.dataTransfer.types.includes('Files')) return
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event: DragEvent) => {
        if (event.dataTransfer.files.length === 0) return
        event.preventDefault()
        setOver(false)
        void take(event.dataTransfer.files)
      }}
      onPaste={(event: ClipboardEvent) => {
        if (event.clipboardData.files.length === 0) return
        event.preventDefault()
        void take(event.clipboardData.files)
      }}
    >
      <button type="button" className="drop-button" disabled={state.sending} onClick={() => chooser.current?.click()}>
        <Upload />
        <span>
          {state.sending ? 'Sending…' : many ? 'Choose files' : 'Choose a file'}
          <span className="drop-hint"> or drop, or paste {many ? 'them' : 'it'} here</span>
        </span>
      </button>
      <input
        ref={chooser}
        type="file"
        multiple={many}
        tabIndex={-1}
        className="off-screen"
        aria-label={`${title}: choose ${many ? 'files' : 'a file'}`}
        onChange={(event) => {
          void take(event.target.files)
          event.target.value = ''
        }}
      />
      {children}
      {state.problem && (
        <p className="field-error" role="alert">
          {state.problem}
        </p>
      )}
    </div>
  )
}

/** An uploaded file, shown without its URL. */
function FileChip({ url, onRemove, ...rest }: ControlProps & { url: string; onRemove: () => void }) {
  const [broken, setBroken] = useState(false)
  const known = knownFile(url)
  const type = known?.type ?? /^data:([^;,]*)/.exec(url)?.[1] ?? null
  const shown = !broken && (type === null || mediaKind(type) === 'image')
  return (
    <div className="file-chip">
      {shown ? <img src={url} alt="" onError={() => setBroken(true)} /> : <FileIcon />}
      <span className="file-text">
        <span className="file-name">{known?.name ?? 'A file'}</span>
        <span className="muted tabular">
          {[type, known && bytes(known.bytes)].filter((each) => each !== null).join(' · ')}
        </span>
      </span>
      <button {...rest} type="button" className="icon-button small" aria-label="Remove the file" onClick={onRemove}>
        <X />
      </button>
    </div>
  )
}
