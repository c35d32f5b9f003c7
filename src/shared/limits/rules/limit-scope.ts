import { z } from 'zod'

/** What limits and pauses concern: an account, a model, a deployment, a preset or a tenant; pauses also everything. */

const name = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}'
const ownerName = `${name}/${name}`
const NAMES = {
  account: '[a-z0-9][a-z0-9_-]{0,39}',
  model: ownerName,
  deployment: ownerName,
  preset: '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?',
  tenant: '[a-z0-9][a-z0-9-]{0,39}',
} as const
export type ScopeKind = keyof typeof NAMES

const NAMED = Object.entries(NAMES)
  .map(([kind, of]) => `${kind}:${of}`)
  .join('|')
const EXPECTED = 'account:<name>, model:<owner/name>, deployment:<owner/name>, preset:<name> or tenant:<id>'

export const limitScope = z
  .string()
  .regex(new RegExp(`^(?:${NAMED})$`), { error: `Expected ${EXPECTED}.` })
  .meta({ id: 'LimitScope', description: `What a limit concerns: \`${EXPECTED}\`.`, examples: ['preset:portrait'] })

export const EVERYTHING = 'all'
export const pauseScope = z
  .string()
  .regex(new RegExp(`^(?:${EVERYTHING}|${NAMED})$`), { error: `Expected all, ${EXPECTED}.` })
  .meta({ id: 'PauseScope', description: `What a pause concerns: \`all\`, \`${EXPECTED}\`.`, examples: ['all'] })

const isKind = (kind: string): kind is ScopeKind => Object.hasOwn(NAMES, kind)

/** null: not the name of a scope of a limit. */
export function scopeKind(scope: string): ScopeKind | null {
  const [kind = ''] = scope.split(':')
  return isKind(kind) ? kind : null
}
