import { useState } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'genqueue.theme'
const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' }

/** `theme-before-paint.js` has already set the stored choice on <html>. */
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
    // Without storage the choice lasts until the page is closed.
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
