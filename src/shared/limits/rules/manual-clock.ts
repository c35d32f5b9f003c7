/** How long scopes were paused by hand (manual-clock.lua). */
export type ManualClocks = ReadonlyMap<string, string>

/** The same as `manual_clock` of manual-clock.lua: ms of the pauses of these scopes until `now`. */
export const manualClock = (clocks: ManualClocks, scopes: readonly string[], now: number): number =>
  scopes.reduce((sum, scope) => {
    const since = clocks.get(`since ${scope}`)
    return sum + Number(clocks.get(scope) ?? 0) + (since === undefined ? 0 : Math.max(0, now - Number(since)))
  }, 0)
