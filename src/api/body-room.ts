import { ServiceError } from '../shared/errors.ts'

/** Bodies of at most so many bytes are in memory at once; who comes with more is asked to come again. */
export function createBodyRoom(maxBytes: number) {
  let taken = 0
  return {
    /** Of one request: it takes as much as has come, and gives it back when it has been answered. */
    enter() {
      let mine = 0
      return {
        take(bytes: number): void {
          if (taken + bytes > maxBytes)
            throw new ServiceError('capacity', 'Too many large bodies arrive at once.', { retryAfter: 2 })
          taken += bytes
          mine += bytes
        },
        leave(): void {
          taken -= mine
          mine = 0
        },
      }
    },
  }
}
