/**
 * Progress of a run from its logs: the last `45%|` of a tqdm bar or `45/100` after a word such as "frame" or "step".
 * Returns 0..1, or null when the logs contain none.
 */
export function progressFromLogs(logs: string): number | null {
  const tail = logs.slice(-4096)
  let progress: number | null = null
  for (const match of tail.matchAll(
    /(\d{1,3})%\s*\||\b(?:frame|step|image|chunk|iteration)s?\s+(\d+)\s*\/\s*(\d+)/gi,
  )) {
    const value = match[1] === undefined ? Number(match[2]) / Number(match[3]) : Number(match[1]) / 100
    if (Number.isFinite(value) && value >= 0 && value <= 1) progress = value
  }
  return progress
}
