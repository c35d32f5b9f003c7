import { memo, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react'
import { Tile } from './tile.tsx'

/** Pixels; must match sheet.css. */
const NARROWEST = 192
const NARROWEST_SMALL = 152
const GAP = 16
/** A square, three lines of text, and the row gap. */
const BELOW_FRAME = 64 + 24
const ROWS_PER_BLOCK = 8

/**
 * The tiles, in blocks of whole rows. The browser skips rendering of off-screen blocks (`content-visibility`), so ten
 * thousand runs scroll like a hundred. Every run stays in the document, for the browser's search and the keyboard.
 */
export function TileGrid({ ids, label, small = false }: { ids: readonly string[]; label: string; small?: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const { columns, width } = useColumns(box, small ? NARROWEST_SMALL : NARROWEST)
  useArrowKeys(box, columns)
  const size = columns * ROWS_PER_BLOCK
  const blocks = Array.from({ length: Math.ceil(ids.length / size) }, (_, at) => ids.slice(at * size, (at + 1) * size))
  const rowHeight = width / columns + BELOW_FRAME
  return (
    <div
      ref={box}
      className={small ? 'tiles tiles-small' : 'tiles'}
      role="list"
      aria-label={label}
      style={{ '--columns': columns }}
    >
      {width > 0 &&
        blocks.map((block, at) => (
          <Block key={at} ids={block.join(' ')} height={Math.round(Math.ceil(block.length / columns) * rowHeight)} />
        ))}
    </div>
  )
}

/** `ids` as one string: a block renders only when its runs change. */
const Block = memo(function Block({ ids, height }: { ids: string; height: number }) {
  return (
    <div className="tile-block" style={{ containIntrinsicBlockSize: `auto ${height}px` }}>
      {ids.split(' ').map((id) => (
        <Tile key={id} id={id} />
      ))}
    </div>
  )
})

/** On return the sheet renders at once with its old width; the first time it stays hidden until measured. */
let lastWidth = 0

function useColumns(box: RefObject<HTMLDivElement | null>, narrowest: number): { columns: number; width: number } {
  const [width, setWidth] = useState(lastWidth)
  useLayoutEffect(() => {
    if (!box.current) return undefined
    const observer = new ResizeObserver(([entry]) => {
      if (!entry) return
      lastWidth = entry.contentRect.width
      setWidth(lastWidth)
    })
    observer.observe(box.current)
    return () => observer.disconnect()
  }, [box])
  return { width, columns: Math.max(1, Math.floor((width + GAP) / (narrowest + GAP))) }
}

const MOVES: Record<string, [across: number, down: number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

/** Arrow keys move through the runs, beginning with the newest. */
function useArrowKeys(box: RefObject<HTMLDivElement | null>, columns: number): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const move = MOVES[event.key]
      if (!move || !box.current || event.defaultPrevented) return
      if (event.metaKey || event.ctrlKey || event.altKey || event.shiftKey) return
      const links = [...box.current.querySelectorAll<HTMLElement>('.tile-link')]
      const at = links.findIndex((link) => link === document.activeElement)
      if (at === -1 && event.target !== document.body) return
      const link = links[at === -1 ? 0 : at + move[0] + move[1] * columns]
      if (!link) return
      event.preventDefault()
      link.focus()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [box, columns])
}
