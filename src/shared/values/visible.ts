/** What a terminal acts on: C0, DEL and C1 (Cc), and the controls of writing direction and line ends of Unicode. */
const ACTIVE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/**
 * Each character that a terminal acts on as `\u001b`, the notation of JSON: a JSON document keeps its value. Those of `kept`
 * remain. Texts of a model, of Replicate or of another user may hold sequences that move the cursor, write to the clipboard
 * or reverse the order of letters.
 */
export const visible = (text: string, kept = ''): string =>
  text.replace(ACTIVE, (character) =>
    kept.includes(character) ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** A line of JSON whose texts show such characters when they are printed after parsing; line feeds and tabs remain. */
export const visibleInside = (json: string): string =>
  visible(json, '\n').replace(/\\(?:u[0-9a-f]{4}|.)/g, (escape) => (/^\\[ubfr]/.test(escape) ? `\\${escape}` : escape))
