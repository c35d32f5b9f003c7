/** The drawing is in index.html, which shows it before this script has arrived. */
export function Logo() {
  return (
    <svg className="logo" width="20" height="20" aria-hidden="true">
      <use href="#logo" />
    </svg>
  )
}
