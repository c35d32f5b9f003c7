/** The names of the properties of an object whose type lists them all. */
export function keysOf<T extends object>(of: T): (keyof T & string)[]
export function keysOf(of: object): string[] {
  return Object.keys(of)
}
