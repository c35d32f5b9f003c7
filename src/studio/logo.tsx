/** Three film frames in a row, the first one exposed. */
export function Logo() {
  return (
    <svg className="logo" width="20" height="20" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect className="logo-back" x="2" y="9" width="5" height="14" rx="2" />
      <rect className="logo-middle" x="9.5" y="7" width="5" height="18" rx="2" />
      <rect className="logo-front" x="17" y="4" width="13" height="24" rx="3" />
    </svg>
  )
}
