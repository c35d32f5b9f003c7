import { useState, type ReactNode } from 'react'
import type { Artifact, Job } from '../client/types.ts'
import { expectedRatio, titleOf } from './format.ts'

declare module 'react' {
  interface CSSProperties {
    /** Width over height; read by `.print`. */
    '--ratio'?: number
    /** Height of a block of the contact sheet; read by `.tile-block`. */
    '--columns'?: number
  }
}

interface PrintProps {
  ratio: number
  /** No picture yet, or no longer. */
  blank?: boolean
  /** A run is in progress. */
  live?: boolean
  children: ReactNode
}

/** The frame of a picture; it has the picture's shape before the picture is loaded. */
export function Print({ ratio, blank = false, live = false, children }: PrintProps) {
  return (
    <span className={`print${blank ? ' print-blank' : ''}${live ? ' print-live' : ''}`} style={{ '--ratio': ratio }}>
      {children}
    </span>
  )
}

const ratioOf = ({ width, height }: Artifact): number | null => (width && height ? width / height : null)

interface PictureProps {
  job: Job
  artifact: Artifact
  /** One of many: lazily loaded, as a thumbnail if there is one. */
  small?: boolean
  onSize?: (width: number, height: number) => void
}

export function Picture({ job, artifact, small = false, onSize }: PictureProps) {
  const [state, setState] = useState<'waiting' | 'shown' | 'broken'>('waiting')
  const [ratio, setRatio] = useState(() => ratioOf(artifact) ?? expectedRatio(job) ?? 1)
  if (state === 'broken') {
    return (
      <Print ratio={ratio} blank>
        <span className="print-note">Could not load the picture</span>
      </Print>
    )
  }
  return (
    <Print ratio={ratio}>
      <img
        src={small ? (artifact.thumbnail_url ?? artifact.url) : artifact.url}
        alt={titleOf(job).slice(0, 200)}
        loading={small ? 'lazy' : 'eager'}
        decoding="async"
        className={state === 'shown' ? 'shown' : ''}
        onLoad={(event) => {
          const { naturalWidth, naturalHeight } = event.currentTarget
          if (naturalWidth > 0 && naturalHeight > 0) setRatio(naturalWidth / naturalHeight)
          onSize?.(naturalWidth, naturalHeight)
          setState('shown')
        }}
        onError={() => setState('broken')}
      />
    </Print>
  )
}
