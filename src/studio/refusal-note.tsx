import type { Refusal } from './submit.ts'

/** Why the service did not take it, in its own words. */
export function RefusalNote({ refusal, errors = refusal.errors }: { refusal: Refusal; errors?: Refusal['errors'] }) {
  return (
    <div className="problem" role="alert">
      <p>{refusal.message}</p>
      {errors.map(({ pointer, detail }) => (
        <p key={pointer + detail}>
          <code>{pointer}</code> {detail}
        </p>
      ))}
    </div>
  )
}
