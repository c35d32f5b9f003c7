const MIB = 1024 * 1024

/** A size in words. */
export const sizeOf = (bytes: number): string =>
  bytes < 10_000 * MIB ? `${Math.round(bytes / MIB)} MiB` : `${Math.round(bytes / MIB / 1024).toLocaleString('en')} GiB`
