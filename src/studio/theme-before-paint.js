;(() => {
  try {
    const theme = localStorage.getItem('genqueue.theme')
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
  } catch {
    // Storage may be forbidden; the system's setting then decides.
  }
})()
