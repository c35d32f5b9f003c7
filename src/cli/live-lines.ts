import { visible } from '../shared/values/visible.ts'
import type { Screen } from './terminal.ts'

export interface LiveLines {
  /** Replaces the previous lines. */
  show(lines: readonly string[]): void
  /** Leaves the last lines on the screen. */
  end(): void
}

const ESC = '\u001B['

/** Live lines at the bottom of a terminal. Lines are truncated to its size, so that redrawing finds them. */
export function createLiveLines(screen: Screen): LiveLines {
  let height = 0
  let shown = ''
  return {
    show(lines) {
      // 0: the terminal does not report its size.
      const width = (screen.columns || 80) - 1
      const most = Math.max(1, (screen.rows || 24) - 1)
      const fitting = lines.slice(0, most).map((line) => cut(visible(line), width))
      const text = fitting.map((line) => `${line}\n`).join('')
      if (text === shown) return
      screen.write(`${height > 0 ? `${ESC}${height}A${ESC}0J` : ''}${text}`)
      height = fitting.length
      shown = text
    },
    end() {
      height = 0
      shown = ''
    },
  }
}

const cut = (line: string, width: number): string => (line.length <= width ? line : `${line.slice(0, width - 1)}…`)

/** Progress bar. `share` 0..1; null: unknown, so a segment moves back and forth with the seconds. */
export function bar(share: number | null, seconds: number, width = 24): string {
  if (share !== null) {
    const full = Math.round(Math.min(1, Math.max(0, share)) * width)
    return '█'.repeat(full) + '░'.repeat(width - full)
  }
  const [piece, way] = [4, width - 4]
  const at = Math.abs((((Math.floor(seconds * 4) % (2 * way)) + 2 * way) % (2 * way)) - way)
  return '░'.repeat(way - at) + '█'.repeat(piece) + '░'.repeat(at)
}
