import { dice } from './seeded.ts'

/** How the deployment of a run is made up; what is not wished for is drawn by the seed. */
export interface Variant {
  apis: 1 | 2
  /** false: Replicate cannot reach us, and jobs finish by polling. */
  webhooks: boolean
  /** Accepted jobs and intents are on disk before anybody acts on them. */
  strict: boolean
  /** Replicate's side dies and comes back, too. */
  upstreamDies: boolean
}

export function variantOf(seed: number, wishes: Partial<Variant> = {}): Variant {
  const random = dice(seed, 'variant')
  const drawn: Variant = {
    apis: random.chance(0.5) ? 2 : 1,
    webhooks: random.chance(0.75),
    strict: random.chance(0.25),
    upstreamDies: random.chance(0.5),
  }
  return { ...drawn, ...wishes }
}

export const describeVariant = ({ apis, webhooks, strict, upstreamDies }: Variant): string =>
  [
    apis === 2 ? 'two apis' : 'one api',
    webhooks ? 'webhooks' : 'polling only',
    ...(strict ? ['strict durability'] : []),
    ...(upstreamDies ? ['upstream dies'] : []),
  ].join(', ')
