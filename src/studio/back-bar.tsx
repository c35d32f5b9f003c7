import { ArrowLeft } from 'lucide-react'
import type { ReactNode } from 'react'
import { leave } from './address.ts'

interface BackBarProps {
  /** Where it leads if this page was opened directly. */
  to: string
  /** Name of that page. */
  name: string
  /** What follows at the other end. */
  children?: ReactNode
}

/** The bar above a page that goes back to the previous one. */
export function BackBar({ to, name, children }: BackBarProps) {
  return (
    <nav className="run-bar" aria-label={name}>
      <button type="button" className="quiet back" onClick={() => leave(to)}>
        <ArrowLeft />
        {name}
      </button>
      {children}
    </nav>
  )
}
