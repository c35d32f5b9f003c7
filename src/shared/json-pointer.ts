/**
 * One step of a JSON pointer (RFC 6901). Keys longer than any of ours are cut: a body must not make its answer many times
 * its size.
 */
export const pointerSegment = (key: string | number): string =>
  `/${String(key).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`

export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((part) => pointerSegment(String(part))).join('')
