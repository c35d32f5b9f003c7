import { resolve } from 'node:path'
import type { Service } from './service.ts'
import type { LocalParts } from './local-parts.ts'
import type { Config } from '../shared/settings/config.ts'
import { credentialsFile } from '../shared/process/local-credentials.ts'

export type GreetingParts = Pick<
  LocalParts,
  'adminPassword' | 'devApiKey' | 'made' | 'printsSecrets' | 'simulator' | 'replicate'
>

/** Text for the terminal after startup: addresses, generated credentials, and a first command. */
export function greeting(config: Config, parts: GreetingParts, service: Omit<Service, 'reload'>): string {
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
  const generated = (name: string, secret: string): string =>
    parts.printsSecrets ? secret : `${name} in ${credentialsFile(config.dataDir)}`
  if (parts.made.apiKey && parts.devApiKey) lines.push(['API key', generated('apiKey', parts.devApiKey)])
  if (parts.made.adminPassword && parts.adminPassword)
    lines.push(['Admin password', generated('adminPassword', parts.adminPassword)])
  const upstream = parts.simulator
    ? `the simulator at ${parts.simulator.url}: REPLICATE_API_TOKEN is not set, so nothing real is created and nothing is billed`
    : parts.replicate.baseUrl
  lines.push(['Replicate', upstream])
  lines.push([
    'Finishing',
    service.webhooks ? 'by webhook, and by polling when no webhook arrives' : 'by polling: PUBLIC_URL is not set',
  ])
  if (config.webhookAllow.hosts.includes('localhost'))
    lines.push(['Receivers', 'webhooks of jobs may go to this machine, such as http://localhost:8080/hook'])

  const width = Math.max(...lines.map(([name]) => name.length))
  const table = lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')
  const example = url === null ? '' : `\n\nTry it:\n\n${firstCommand(url, config, parts)}`
  return `\n  genqueue is running (role ${config.role})\n\n${table}${example}\n\n`
}

/** Command that can be pasted. A key that is not printed is read by the command line, from .env or the data folder. */
function firstCommand(url: string, config: Config, { devApiKey, made, printsSecrets }: GreetingParts): string {
  const { rawModels, dataDir } = config
  const allowsRaw = rawModels === 'allow'
  const isPrinted = made.apiKey && printsSecrets
  if (devApiKey !== null && !isPrinted) {
    const folder = made.apiKey && dataDir !== resolve('.data') ? `DATA_DIR='${dataDir.replaceAll("'", `'\\''`)}' ` : ''
    const command = `  ${folder}npx genqueue ${allowsRaw ? 'submit' : 'presets'} --url '${url}'`
    if (!allowsRaw) return command
    return `${command} --wait \\
    --model black-forest-labs/flux-schnell --input 'prompt=a lighthouse at night'`
  }
  const makeKey =
    devApiKey === null ? '  KEY=$(npx genqueue keys create default --title "first try" --expires 1d)\n' : ''
  const authorized = `-H "Authorization: Bearer ${devApiKey ?? '$KEY'}"`
  if (!allowsRaw) return `${makeKey}  curl -s '${url}/v1/presets' ${authorized}`
  return `${makeKey}  curl -s '${url}/v1/jobs' ${authorized} \\
    -H 'Content-Type: application/json' -H 'Prefer: wait=30' \\
    -d '{"model":"black-forest-labs/flux-schnell","input":{"prompt":"a lighthouse at night"}}'`
}
