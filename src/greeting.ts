import type { Service } from './compose.ts'
import type { LocalParts } from './local-parts.ts'
import type { Config } from './shared/config.ts'

export type GreetingParts = Pick<LocalParts, 'adminPassword' | 'devApiKey' | 'made' | 'simulator' | 'replicate'>

/** Text for the terminal after startup: addresses, generated credentials, and a first command. */
export function greeting(config: Config, parts: GreetingParts, service: Omit<Service, 'reload' | 'stop'>): string {
  const { url, signInUrl, healthUrl } = service
  const lines: [string, string][] = []
  if (url !== null) {
    lines.push(['Studio', `${url}/`])
    if (signInUrl !== null) lines.push(['Sign in', `${signInUrl} (works once)`])
    else if (parts.devApiKey !== null) lines.push(['Sign in', 'with an API key, or by a link: npx genqueue login'])
    lines.push(['API', `${url}/v1`], ['API docs', `${url}/docs`])
    if (parts.adminPassword !== null) lines.push(['Queues', `${url}/admin/queues`])
  }
  if (healthUrl !== null) lines.push(['Health', `${healthUrl}/readyz`])
  lines.push(['Data', config.dataDir])
  if (parts.made.apiKey && parts.devApiKey) lines.push(['API key', parts.devApiKey])
  if (parts.made.adminPassword && parts.adminPassword) lines.push(['Admin password', parts.adminPassword])
  const upstream = parts.simulator
    ? `the simulator at ${parts.simulator.url}: REPLICATE_API_TOKEN is not set, so nothing real is created and nothing is billed`
    : parts.replicate.baseUrl
  lines.push(['Replicate', upstream])
  lines.push([
    'Finishing',
    service.webhooks ? 'by webhook, and by polling when no webhook arrives' : 'by polling: PUBLIC_URL is not set',
  ])

  const width = Math.max(...lines.map(([name]) => name.length))
  const table = lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')
  const example = url === null ? '' : `\n\nTry it:\n\n${firstCommand(url, config, parts)}`
  return `\n  genqueue is running (role ${config.role})\n\n${table}${example}\n\n`
}

/** Command that can be pasted. A key that was not generated here is not printed; the shell must have it. */
function firstCommand(url: string, { allowRawModels }: Config, { devApiKey, made }: GreetingParts): string {
  const makeKey =
    devApiKey === null ? '  KEY=$(npx genqueue keys create default --title "first try" --expires 1d)\n' : ''
  const key = devApiKey === null ? '$KEY' : made.apiKey ? devApiKey : '${DEV_API_KEY:?is not set in this shell}'
  const authorized = `-H "Authorization: Bearer ${key}"`
  if (!allowRawModels) return `${makeKey}  curl -s '${url}/v1/presets' ${authorized}`
  return `${makeKey}  curl -s '${url}/v1/jobs' ${authorized} \\
    -H 'Content-Type: application/json' -H 'Prefer: wait=30' \\
    -d '{"model":"black-forest-labs/flux-schnell","input":{"prompt":"a lighthouse at night"}}'`
}
