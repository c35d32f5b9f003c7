import type { Refusal } from './submit.ts'

/** The service's error message for a refused request. */
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
