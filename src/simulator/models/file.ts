/**
 * A file inside an output: `{ "$file": "data:image/png;base64,…" }`, or the path of a file. The API shows its URL in its
 * place.
 */
export interface FileOutput {
  $file: string
}

export const UNKNOWN_TYPE = 'application/octet-stream'

/** A file for an output, of its bytes. */
export const file = (bytes: Uint8Array | string, contentType: string = UNKNOWN_TYPE): FileOutput => ({
  $file: `data:${contentType};base64,${Buffer.from(bytes).toString('base64')}`,
})
