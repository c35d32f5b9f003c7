/** Where Replicate's own API is served, for clients of Replicate. */
export const FRONT = '/replicate/v1'

/** Whether errors of this path have the form of Replicate's. */
export const isFront = (path: string): boolean => path === '/replicate' || path.startsWith('/replicate/')
