import type { Refusal } from './submit.ts'

/** Why the service did not take it, in its own words. */
export function RefusalNote({
  refusal,
  message = refusal.message,
  errors = refusal.errors,
}: {
  refusal: Refusal
  message?: string
  errors?: Refusal['errors']
}) {
  return (
    <div className="problem" role="alert">
      <p>{message}</p>
      {errors.map(({ pointer, detail }) => (
        <p key={pointer + detail}>
          <code>{pointer}</code> {detail}
        </p>
      ))}
    </div>
  )
}
