/** Limit in bytes of the logs that are kept with a job, and shown; their end is kept. */
export const LOG_BYTES = 64 * 1024

/** The last characters of a text that have at most `max` bytes in UTF-8 together. */
export function lastBytes(text: string, max: number): string {
  const bytes = Buffer.from(text.slice(-max))
  let from = Math.max(bytes.length - max, 0)
  // Not within a character.
  while (((bytes[from] ?? 0) & 0xc0) === 0x80) from++
  return bytes.subarray(from).toString()
}

/** The logs of a prediction that are kept; '': none. */
export const keptLogs = (logs: string | null | undefined): string => lastBytes(logs ?? '', LOG_BYTES)
