/** Mistakes in Scalar's elements that keep screen readers and keyboards from it, by the elements that have them. */
const MISTAKES: readonly [selector: string, mend: (element: Element) => void][] = [
  ['.cm-content:not([aria-label])', (editor) => editor.setAttribute('aria-label', 'Body')],
  ['.cm-scroller[tabindex="-1"]', (scroller) => scroller.setAttribute('tabindex', '0')],
  ['[role="combobox"]:not([aria-expanded])', (field) => field.setAttribute('aria-expanded', 'false')],
  ['button[role="none"]', (button) => button.removeAttribute('role')],
  ['[role="dialog"] button[aria-controls]', withoutAbsent],
  // Its text is the name of the schema that it shows.
  ['[data-testid^="response-variant-pic"][aria-label]', (button) => button.removeAttribute('aria-label')],
]

/** Mends everything that appears below an element. */
export function keepAccessible(root: Element): void {
  const mend = (): void => {
    for (const [selector, change] of MISTAKES) root.querySelectorAll(selector).forEach(change)
  }
  new MutationObserver(mend).observe(root, { childList: true, subtree: true })
}

/** Removes the name of an element that does not exist. */
function withoutAbsent(button: Element): void {
  const controlled = document.getElementById(button.getAttribute('aria-controls') ?? '')
  if (controlled === null && button.getAttribute('aria-expanded') !== 'false') button.removeAttribute('aria-controls')
}
