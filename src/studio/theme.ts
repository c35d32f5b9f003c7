import { useState } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'genqueue.theme'
const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' }

/** `theme-before-paint.js` has already put the stored choice on <html>. */
function current(): Theme {
  const theme = document.documentElement.dataset['theme']
  return theme === 'light' || theme === 'dark' ? theme : 'system'
}

function apply(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  try {
    if (theme === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

export function useTheme(): { theme: Theme; next: () => void } {
  const [theme, setTheme] = useState(current)
  const next = () => {
    apply(NEXT[theme])
    setTheme(NEXT[theme])
  }
  return { theme, next }
}
