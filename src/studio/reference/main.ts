import { keepAccessible } from './accessible.ts'

/** The API reference: Scalar, which `scalar-script.ts` puts beside this page, with everything of its makers' switched off. */

interface Scalar {
  createApiReference(place: Element, configuration: object): unknown
}

declare global {
  interface Window {
    Scalar: Scalar
  }
}

/** The address in the samples of the document, which becomes the one of this service. */
const SAMPLE_ADDRESS = 'http://127.0.0.1:3000'

const place = document.querySelector('#reference')
if (place === null) throw new Error('The page has no place for the reference.')

keepAccessible(document.body)
try {
  const response = await fetch('/openapi.json')
  if (!response.ok) throw new Error(`status ${response.status}`)
  show(place, (await response.text()).replaceAll(SAMPLE_ADDRESS, location.origin))
} catch (error) {
  const note = document.createElement('p')
  note.className = 'note'
  note.setAttribute('role', 'alert')
  note.textContent = `The description of the API could not be loaded (${String(error)}). Reload the page to try again.`
  place.replaceChildren(note)
}

function show(target: Element, content: string): void {
  const { theme } = document.documentElement.dataset
  window.Scalar.createApiReference(target, {
    content,
    servers: [{ url: location.origin, description: 'This service.' }],
    theme: 'none',
    // Studio's choice, otherwise the system's.
    ...(theme === 'light' || theme === 'dark' ? { darkMode: theme === 'dark' } : {}),
    authentication: { preferredSecurityScheme: 'key' },
    persistAuth: false,
    // The samples of the document instead of those that Scalar makes.
    hiddenClients: true,
    generateOperationSlug: ({ operationId }: { operationId?: string }) => operationId ?? '',
    modelsSectionLabel: 'Schemas',
    documentDownloadType: 'none',
    // Fonts, statistics and services of other origins.
    withDefaultFonts: false,
    telemetry: false,
    proxyUrl: '',
    agent: { disabled: true },
    mcp: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: 'never',
  })
}
