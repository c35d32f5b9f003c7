import type { ReactNode } from 'react'

/** A few numbers that matter, each with its name and what is to be said of it. */
export function Figures({ children }: { children: ReactNode }) {
  return <dl className="figures">{children}</dl>
}

interface FigureProps {
  name: string
  value: ReactNode
  note?: ReactNode
  /** Somebody should look at it. */
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
