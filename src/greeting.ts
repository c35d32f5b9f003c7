import type { Service } from './compose.ts'
import type { LocalParts } from './local-parts.ts'
import type { Config } from './shared/config.ts'

/** What a person at the terminal wants to know after the start. */
export function greeting(config: Config, parts: LocalParts, service: Service): string {
  const lines: [string, string][] = []
  if (service.url) lines.push(['Studio', `${service.url}/`], ['API', `${service.url}/v1`])
  if (service.url && parts.adminPassword !== null) lines.push(['Queues', `${service.url}/admin/queues`])
  if (service.healthUrl) lines.push(['Health', `${service.healthUrl}/readyz`])
  lines.push(['Data', config.dataDir])
  if (parts.made.apiKey && parts.devApiKey) lines.push(['API key', parts.devApiKey])
  if (parts.made.adminPassword && parts.adminPassword) lines.push(['Admin password', parts.adminPassword])
  const upstream = parts.simulator
    ? `the simulator at ${parts.simulator.url}: REPLICATE_API_TOKEN is not set, so nothing real is created and nothing is billed`
    : parts.replicate.baseUrl
  lines.push(['Replicate', upstream])
  lines.push([
    'Finishing',
    service.webhooks ? 'by webhook, and by polling when none comes' : 'by polling: PUBLIC_URL is not set',
  ])

  const width = Math.max(...lines.map(([name]) => name.length))
  const table = lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')
  const key = parts.made.apiKey ? parts.devApiKey : parts.devApiKey === null ? '$KEY' : '$DEV_API_KEY'
  const example = service.url
    ? `\n\nTry it:\n\n  curl -s '${service.url}/v1/jobs' -H 'Authorization: Bearer ${key}' \\
    -H 'Content-Type: application/json' -H 'Prefer: wait=30' \\
    -d '{"model":"black-forest-labs/flux-schnell","input":{"prompt":"a lighthouse at night"}}'`
    : ''
  return `\n  genqueue is running (role ${config.role})\n\n${table}${example}\n\n`
}
