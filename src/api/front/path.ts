/** Where Replicate's own API is served, for clients of Replicate. */
export const FRONT = '/replicate/v1'

/**
 * Where streams of predictions are served. The official clients know by the path, from the root on, whether the events of a
 * stream are files.
 */
export const STREAMS = '/v1/streams'
export const STREAMS_OF_FILES = '/v1/files'

/** Whether errors of this path have the form of Replicate's. */
export const isFront = (path: string): boolean => path === '/replicate' || path.startsWith('/replicate/')
