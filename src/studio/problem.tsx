/** An error message; renders nothing without an error. */
export function Problem({ text }: { text: string | null | undefined }) {
  if (!text) return null
  return (
    <p className="problem" role="alert">
      {text}
    </p>
  )
}
