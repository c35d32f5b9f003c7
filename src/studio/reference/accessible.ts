/** Attributes that Scalar's dialog for requests lacks for screen readers, by the elements that lack them. */
const LACKING: readonly [selector: string, add: (element: Element) => void][] = [
  ['.cm-content:not([aria-label])', (editor) => editor.setAttribute('aria-label', 'Body')],
  ['[role="combobox"]:not([aria-expanded])', (field) => field.setAttribute('aria-expanded', 'false')],
  ['button[role="none"]', (button) => button.removeAttribute('role')],
]

/** Adds them to everything that appears below an element. */
export function keepAccessible(root: Element): void {
  const mend = (): void => {
    for (const [selector, add] of LACKING) root.querySelectorAll(selector).forEach(add)
  }
  new MutationObserver(mend).observe(root, { childList: true, subtree: true })
}
