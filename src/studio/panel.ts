import { useCallback, useEffect, useRef, useState, type RefObject } from 'react'

interface Panel {
  isOpen: boolean
  /** The element that contains the button and the panel. */
  box: RefObject<HTMLDivElement | null>
  button: RefObject<HTMLButtonElement | null>
  toggle: () => void
  /** Also returns the focus to the button. */
  close: () => void
}

/** A panel that a button opens. It closes on a pointer or the focus outside, and on Escape. */
export function usePanel(): Panel {
  const [isOpen, setOpen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)

  const close = useCallback(() => {
    setOpen(false)
    button.current?.focus()
  }, [])

  useEffect(() => {
    if (!isOpen) return undefined
    const onOutside = (event: Event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false)
    }
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      event.preventDefault()
      close()
    }
    document.addEventListener('pointerdown', onOutside)
    document.addEventListener('focusin', onOutside)
    // Handled before the page's own keys, where Escape leaves the page.
    document.addEventListener('keydown', onKey, true)
    return () => {
      document.removeEventListener('pointerdown', onOutside)
      document.removeEventListener('focusin', onOutside)
      document.removeEventListener('keydown', onKey, true)
    }
  }, [isOpen, close])

  return { isOpen, box, button, toggle: () => setOpen(!isOpen), close }
}
