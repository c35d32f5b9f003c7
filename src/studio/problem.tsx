/** An error message, with a button if the request can be repeated; renders nothing without an error. */
export function Problem({ text, onRetry }: { text: string | null | undefined; onRetry?: (() => void) | undefined }) {
  if (!text) return null
  return (
    <>
      <p className="problem" role="alert">
        {text}
      </p>
      {onRetry && (
        <button type="button" className="button small again" onClick={onRetry}>
          Try again
        </button>
      )}
    </>
  )
}
