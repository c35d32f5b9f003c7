import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { launchBrowser } from './browser.ts'
import { sessionCookie } from './session-cookie.ts'
import { startService, TEST_KEY, type TestService, type TestServiceOptions } from './start-service.ts'
import { PATIENCE_MS } from './wait-for.ts'

/** Studio in a real browser, against a service shared by the tests of one file. Every wait is for something visible. */

export const DESKTOP = { width: 1280, height: 800 }
export const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }

/** A model that returns a greeting at once, with its version. */
export const HELLO = 'replicate/hello-world:9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

export interface StudioPages {
  readonly service: TestService
  /**
   * A separate browser, signed in with the development key; `signedIn: false`: a stranger's. `knownOrigins`: others that
   * the page may ask.
   */
  visit(path: string, options?: BrowserContextOptions & { signedIn?: boolean; knownOrigins?: string[] }): Promise<Page>
}

export function openStudio(options: TestServiceOptions = {}): StudioPages {
  let service: TestService | undefined
  let browser: Browser | undefined
  /** Faults that no visit may cause: script errors, CSP violations, requests to other origins. */
  let complaints: string[] = []

  const opened = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('Studio is open only while tests run.')
    return part
  }

  beforeAll(async () => {
    ;[service, browser] = await Promise.all([
      startService({ ...options, simulator: { speed: 50, ...options.simulator } }),
      launchBrowser(),
    ])
  })

  afterAll(async () => {
    await browser?.close()
    await service?.stop()
  })

  beforeEach(() => {
    complaints = []
  })

  afterEach(async () => {
    await Promise.all(
      opened(browser)
        .contexts()
        .map((context) => context.close()),
    )
    await opened(service).simulator.faults({ predictions: null })
    expect(complaints).toEqual([])
  })

  return {
    get service() {
      return opened(service)
    },
    async visit(path, { signedIn = true, knownOrigins = [], ...contextOptions } = {}) {
      const context = await opened(browser).newContext({
        viewport: DESKTOP,
        baseURL: opened(service).url,
        locale: 'en-GB',
        // Without a graphics card, everything that turns costs a processor.
        reducedMotion: 'reduce',
        ...contextOptions,
      })
      const { url } = opened(service)
      if (signedIn) {
        const cookie = await sessionCookie(url, TEST_KEY)
        await context.addCookies([{ ...cookie, url, httpOnly: true, sameSite: 'Strict' }])
      }
      const page = await context.newPage()
      page.setDefaultTimeout(PATIENCE_MS)
      const own = new URL(contextOptions.baseURL ?? opened(service).url).origin
      page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
      page.on('console', (message) => {
        // A page of another origin may well be refused what it asks for.
        const isOurs = own === new URL(opened(service).url).origin
        if (isOurs && /content security policy/i.test(message.text())) complaints.push(message.text())
      })
      page.on('dialog', (dialog) => {
        complaints.push(`dialog: ${dialog.message()}`)
        void dialog.dismiss()
      })
      page.on('request', (request) => {
        const { origin, protocol } = new URL(request.url())
        if (protocol.startsWith('http') && origin !== own && !knownOrigins.includes(origin))
          complaints.push(`foreign: ${request.url()}`)
      })
      await page.goto(path)
      return page
    },
  }
}

export const tile = (page: Page, text: string): Locator => page.getByRole('listitem').filter({ hasText: text }).first()

/** Submits a run through the page's form. */
export async function runIn(page: Page, prompt: string): Promise<void> {
  await page.getByLabel('Prompt', { exact: true }).fill(prompt)
  await page.keyboard.press('Control+Enter')
}

/** Waits for the status heading of the shown run. */
export const status = (page: Page, word: string): Promise<void> =>
  page.getByRole('region', { name: 'Status' }).getByRole('heading', { name: word }).waitFor()

/** The used part of the browser's HTMLImageElement; DOM types are not available in server code. */
interface ImageElement {
  decode(): Promise<void>
  naturalWidth: number
}

/** Waits until the browser has decoded the picture. */
export async function seesPicture(image: Locator): Promise<void> {
  await image.waitFor()
  await image.scrollIntoViewIfNeeded()
  const width = await image.evaluate(async (element: ImageElement) => {
    await element.decode()
    return element.naturalWidth
  })
  expect(width).toBeGreaterThan(0)
}

/** Pixels by which the page is wider than its window. */
export const tooWide = (page: Page): Promise<number> =>
  page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth')

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeResult {
  violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[]
}

/** Serious or critical axe violations. */
export const serious = (page: Page): Promise<string[]> => ask(page, {})

/** The same without the colour contrast, which is slow and does not depend on the window. */
export const seriousButColours = (page: Page): Promise<string[]> =>
  ask(page, { rules: { 'color-contrast': { enabled: false } } })

/** Violations in both colour schemes; rules without colour run once. The page stays dark. */
export async function seriousInBoth(page: Page): Promise<string[]> {
  await page.emulateMedia({ colorScheme: 'light' })
  const light = await serious(page)
  await page.emulateMedia({ colorScheme: 'dark' })
  const dark = await ask(page, { runOnly: ['color-contrast'] })
  return [...light.map((found) => `light ${found}`), ...dark.map((found) => `dark ${found}`)]
}

async function ask(page: Page, options: object): Promise<string[]> {
  // Not a script tag, which the page's policy would refuse.
  if (!(await page.evaluate<boolean>(`'axe' in window`))) await page.evaluate(axe)
  const asked = JSON.stringify({ resultTypes: ['violations'], ...options })
  const { violations } = await page.evaluate<AxeResult>(`axe.run(${asked})`)
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))
}
