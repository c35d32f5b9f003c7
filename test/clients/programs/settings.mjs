/** Where the API is, with `/v1`, and the key. */
export const API = process.env.API
export const TOKEN = process.env.TOKEN
export const FLUX = 'black-forest-labs/flux-schnell'
export const TEXT = 'google/gemini-3-pro'

/** Runs one part, and prints its name when it succeeds. */
export async function done(name, part) {
  try {
    await part()
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error })
  }
  process.stdout.write(`${name}\n`)
}
