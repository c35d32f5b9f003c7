import { describe, expect, test } from 'vitest'
import { otherOrigin } from '../support/other-origin.ts'
import { TEST_ADMIN_PASSWORD } from '../support/start-service.ts'
import { openStudio, serious } from '../support/studio-page.ts'

/** The queue board in a browser with web security on, opened through its sign-in form. */

const studio = openStudio()
const LOGIN = '/admin/login'

async function signIn(password: string, path = '/admin/queues') {
  const page = await studio.visit(path, { signedIn: false })
  await page.waitForURL(`**${LOGIN}`)
  await page.getByLabel('Admin password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  return page
}

describe('the login form of the board', () => {
  test('opens the board, and requests of the board pass', async () => {
    const page = await signIn(TEST_ADMIN_PASSWORD)
    await page.waitForURL('**/admin/queues')
    await page
      .getByRole('link', { name: /submit/ })
      .first()
      .waitFor()
    const asked = (method: string): Promise<number> =>
      page.evaluate<number>(
        `fetch('/admin/queues/api/queues${method === 'GET' ? '' : '/submit/pause'}', { method: '${method}' }).then((answer) => answer.status)`,
      )
    expect(await asked('GET')).toBe(200)
    // Passes the origin check, and is refused because the board is read-only.
    expect(await asked('PUT')).toBe(405)
  })

  test('returns the form with an error for a wrong password', async () => {
    const page = await signIn('not the password')
    await page.getByRole('alert').getByText('The password is wrong.').waitFor()
    expect(new URL(page.url()).pathname).toBe(LOGIN)
    expect(await serious(page)).toEqual([])
    await page.getByLabel('Admin password').fill(TEST_ADMIN_PASSWORD)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/admin/queues')
  })

  test('refuses a post from another origin, with an error page', async () => {
    const elsewhere = await otherOrigin(
      `<!doctype html><title>elsewhere</title><form method="post" action="${studio.service.url}${LOGIN}">` +
        `<input name="password" value="${TEST_ADMIN_PASSWORD}"><button>Win</button></form>`,
    )
    const page = await studio.visit(elsewhere, {
      signedIn: false,
      baseURL: elsewhere,
      knownOrigins: [studio.service.url],
    })
    await page.getByRole('button', { name: 'Win' }).click()
    await page.getByRole('alert').getByText('only works from its own page').waitFor()
    expect(await page.context().cookies(studio.service.url)).toEqual([])
  })
})

test('a page of another origin shows neither Studio nor the login in a frame', async () => {
  const elsewhere = await otherOrigin('<!doctype html><title>elsewhere</title><p>frames</p>')
  const page = await studio.visit(elsewhere, { baseURL: elsewhere, knownOrigins: [studio.service.url] })
  for (const path of ['/', LOGIN]) {
    const frame = page.waitForEvent('framenavigated')
    const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'))
    await page.evaluate(
      `{ const frame = document.createElement('iframe'); frame.src = '${studio.service.url}${path}'; document.body.append(frame) }`,
    )
    await Promise.all([frame, refused])
  }
})
