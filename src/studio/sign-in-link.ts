import { ApiError, type Client } from '../client/client.ts'
import { session } from './session.ts'

const CODE = '#code='

/**
 * Exchanges the code of a sign-in link, `/#code=...`, for a session. The code leaves the address bar and the history
 * before it is sent. Opening the link alone changes nothing: only this request consumes the code.
 */
export async function enterByLink(client: Client): Promise<void> {
  if (!location.hash.startsWith(CODE)) return
  const code = location.hash.slice(CODE.length)
  history.replaceState(history.state, '', location.pathname + location.search)
  try {
    await client.signInWithCode(code)
    session.entered()
  } catch (error) {
    const refused = error instanceof ApiError && [401, 422].includes(error.status)
    session.linkRefused(
      refused
        ? 'This sign-in link was used or has expired. npx genqueue login prints another.'
        : error instanceof Error
          ? error.message
          : String(error),
    )
  }
}
