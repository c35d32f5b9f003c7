/**
 * One segment of a JSON pointer (RFC 6901). Long keys are truncated, so that a response cannot grow to many times the size
 * of the request.
 */
export const pointerSegment = (key: string | number): string =>
  `/${String(key).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`

export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((part) => pointerSegment(String(part))).join('')
