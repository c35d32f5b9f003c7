;(() => {
  try {
    const theme = localStorage.getItem('genqueue.theme')
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
  } catch {
    // Without storage the system's setting applies.
  }
})()
