import type { ReactNode } from 'react'
import type { Shape } from './run-labels.ts'

function Icon({
  children,
  size = 16,
  className,
}: {
  children: ReactNode
  size?: number
  className?: string | undefined
}) {
  return (
    <svg
      className={className ? `icon ${className}` : 'icon'}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  )
}

/** Three film frames in a row, the first one exposed. */
export function Logo() {
  return (
    <svg className="logo" width="20" height="20" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect className="logo-back" x="2" y="9" width="5" height="14" rx="2" />
      <rect className="logo-middle" x="9.5" y="7" width="5" height="18" rx="2" />
      <rect className="logo-front" x="17" y="4" width="13" height="24" rx="3" />
    </svg>
  )
}

/** Each status has its own shape, so colour carries no extra meaning. */
export function StatusIcon({ shape, size = 16 }: { shape: Shape; size?: number }) {
  return (
    <Icon size={size} className={`status status-${shape}`}>
      {SHAPES[shape]}
    </Icon>
  )
}

const ring = <circle cx="8" cy="8" r="5.75" />
const SHAPES: Record<Shape, ReactNode> = {
  waiting: <circle cx="8" cy="8" r="5.75" strokeDasharray="2.2 2.3" />,
  sending: (
    <>
      {ring}
      <path d="M8 10.5v-5M5.9 7.4 8 5.3l2.1 2.1" />
    </>
  ),
  question: (
    <>
      <path d="M8 1.8 14.2 8 8 14.2 1.8 8Z" />
      <path d="M6.7 6.6c.1-1.6 2.7-1.6 2.7.1C9.4 7.7 8 7.7 8 8.9M8 10.9v.01" />
    </>
  ),
  starting: (
    <>
      {ring}
      <path d="M8 5v3l2 1.3" />
    </>
  ),
  running: (
    <>
      <circle cx="8" cy="8" r="5.75" opacity=".3" />
      <path d="M8 2.25A5.75 5.75 0 0 1 13.75 8" />
    </>
  ),
  saving: (
    <>
      <path d="M8 2.5v6.5M5.5 6.7 8 9.2l2.5-2.5" />
      <path d="M2.8 10.5v2.2h10.4v-2.2" />
    </>
  ),
  stopping: (
    <>
      {ring}
      <rect x="6" y="6" width="4" height="4" fill="currentColor" stroke="none" />
    </>
  ),
  done: <path d="m3 8.5 3.3 3.3L13 5" />,
  failed: (
    <>
      <path d="M8 2.2 14.3 13H1.7Z" />
      <path d="M8 6.5v3M8 11.2v.01" />
    </>
  ),
  canceled: (
    <>
      {ring}
      <path d="m4.2 11.8 7.6-7.6" />
    </>
  ),
}

export const ChevronDown = () => (
  <Icon>
    <path d="m4 6 4 4 4-4" />
  </Icon>
)
export const ArrowLeft = () => (
  <Icon>
    <path d="M13 8H3M7 4 3 8l4 4" />
  </Icon>
)
export const ArrowUp = () => (
  <Icon>
    <path d="m4 10 4-4 4 4" />
  </Icon>
)
export const ArrowDown = () => (
  <Icon>
    <path d="m4 6 4 4 4-4" />
  </Icon>
)
export const Download = () => (
  <Icon>
    <path d="M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.2h10" />
  </Icon>
)
export const Copy = () => (
  <Icon>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
    <path d="M10.5 5.5v-3h-8v8h3" />
  </Icon>
)
export const Check = () => (
  <Icon>
    <path d="m3 8.5 3.3 3.3L13 5" />
  </Icon>
)
export const Search = () => (
  <Icon>
    <circle cx="7" cy="7" r="4.25" />
    <path d="m10.2 10.2 3.3 3.3" />
  </Icon>
)
export const Plus = () => (
  <Icon>
    <path d="M8 3v10M3 8h10" />
  </Icon>
)
export const Again = () => (
  <Icon>
    <path d="M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3" />
  </Icon>
)
export const Stop = () => (
  <Icon>
    <rect x="4" y="4" width="8" height="8" rx="1.5" />
  </Icon>
)
export const Pencil = () => (
  <Icon>
    <path d="M3 13h2.5L13 5.5 10.5 3 3 10.5Z" />
  </Icon>
)
export const FileIcon = () => (
  <Icon>
    <path d="M4 2h5l3 3v9H4ZM9 2v3h3" />
  </Icon>
)
export const Sound = () => (
  <Icon size={24}>
    <path d="M2.5 6.5v3M5.25 4v8M8 2.5v11M10.75 4.5v7M13.5 6.5v3" />
  </Icon>
)
export const Sun = () => (
  <Icon>
    <circle cx="8" cy="8" r="2.75" />
    <path d="M8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.85.85M11.75 11.75l.85.85M3.4 12.6l.85-.85M11.75 4.25l.85-.85" />
  </Icon>
)
export const Moon = () => (
  <Icon>
    <path d="M13.2 9.6A5.75 5.75 0 0 1 6.4 2.8 5.75 5.75 0 1 0 13.2 9.6Z" />
  </Icon>
)
export const HalfMoon = () => (
  <Icon>
    <circle cx="8" cy="8" r="5.75" />
    <path d="M8 2.25v11.5A5.75 5.75 0 0 0 8 2.25Z" fill="currentColor" />
  </Icon>
)
export const UploadIcon = () => (
  <Icon>
    <path d="M8 10V2.8M4.8 5.8 8 2.6l3.2 3.2M3 10.5v2.7h10v-2.7" />
  </Icon>
)
export const Close = () => (
  <Icon>
    <path d="m4 4 8 8M12 4l-8 8" />
  </Icon>
)
export const Pin = () => (
  <Icon>
    <path d="M5.5 2.5h5l-.8 4.2 2.3 2.1H4l2.3-2.1ZM8 9v4.5" />
  </Icon>
)
export const Bin = () => (
  <Icon>
    <path d="M3 4.5h10M6.5 4.5v-2h3v2M4.3 4.5l.6 9h6.2l.6-9" />
  </Icon>
)
