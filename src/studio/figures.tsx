import type { ReactNode } from 'react'

/** Key figures, each with a name and a note. */
export function Figures({ children }: { children: ReactNode }) {
  return <dl className="figures">{children}</dl>
}

interface FigureProps {
  name: string
  value: ReactNode
  note?: ReactNode
  /** Highlights a value that needs attention. */
  bad?: boolean
}

export function Figure({ name, value, note = null, bad = false }: FigureProps) {
  return (
    <div className={bad ? 'figure figure-bad' : 'figure'}>
      <dt>{name}</dt>
      <dd className="tabular">
        {value}
        {note !== null && <span className="figure-note">{note}</span>}
      </dd>
    </div>
  )
}
