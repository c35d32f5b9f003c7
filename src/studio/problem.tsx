/** What went wrong, in words; nothing when nothing did. */
export function Problem({ text }: { text: string | null | undefined }) {
  if (!text) return null
  return (
    <p className="problem" role="alert">
      {text}
    </p>
  )
}
