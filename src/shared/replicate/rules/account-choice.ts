/** Who may use an account, and how much of the work it gets. */
export interface AccountTerms {
  name: string
  /** Share of the jobs where several accounts have room. */
  weight: number
  /** Only jobs of these tenants; null: of all. */
  tenants: readonly string[] | null
  /** Only jobs of these presets; null: all jobs. */
  presets: readonly string[] | null
  /** The jobs that these lists name use no other account. */
  dedicated: boolean
}

/** Names of the accounts that a job may use, in the order of the configuration. */
export function allowedAccounts(
  all: readonly AccountTerms[],
  { tenant, preset }: { tenant: string; preset: string | null },
): string[] {
  const fits = all.filter(
    ({ tenants, presets }) =>
      (tenants === null || tenants.includes(tenant)) &&
      (presets === null || (preset !== null && presets.includes(preset))),
  )
  const dedicated = fits.filter((one) => one.dedicated)
  return (dedicated.length > 0 ? dedicated : fits).map(({ name }) => name)
}

/** What is known of an account when a job needs one. */
export interface AccountState {
  name: string
  weight: number
  /** Expected time until it may create, ms; 0: now; null: unknown, because creation is paused. */
  wait: number | null
}

/**
 * Chooses accounts so that those with room share the jobs by weight (smooth weighted round robin), and otherwise the one that has
 * room first gets the job. One chooser for each process: it remembers whose turn it is.
 */
export function createTurns() {
  const credit = new Map<string, number>()
  return (states: readonly AccountState[]): string | null => {
    const usable = states.filter((one): one is AccountState & { wait: number } => one.wait !== null)
    const soonest = Math.min(...usable.map(({ wait }) => wait))
    const first = usable.filter(({ wait }) => wait === soonest)
    let chosen: string | null = null
    let most = Number.NEGATIVE_INFINITY
    let total = 0
    for (const { name, weight } of first) {
      total += weight
      const has = (credit.get(name) ?? 0) + weight
      credit.set(name, has)
      if (has > most) {
        most = has
        chosen = name
      }
    }
    if (chosen !== null) credit.set(chosen, most - total)
    return chosen
  }
}
