/**
 * Bytes as text: seven bits in each character, so that seven bytes take eight characters. All of them are ASCII, which UTF-8
 * keeps as it is; base64 needs a sixth more.
 */

export function toSevenBits(bytes: Uint8Array): string {
  const text = Buffer.alloc(Math.ceil((bytes.length * 8) / 7))
  let [bits, held, at] = [0, 0, 0]
  for (const byte of bytes) {
    bits = (bits << 8) | byte
    held += 8
    while (held >= 7) {
      held -= 7
      text[at++] = (bits >> held) & 0x7f
    }
    bits &= 0x7f
  }
  if (held > 0) text[at] = (bits << (7 - held)) & 0x7f
  return text.toString('latin1')
}

export function fromSevenBits(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 7) / 8))
  let [bits, held, at] = [0, 0, 0]
  for (let i = 0; i < text.length; i++) {
    bits = ((bits & 0xff) << 7) | (text.charCodeAt(i) & 0x7f)
    held += 7
    if (held < 8) continue
    held -= 8
    bytes[at++] = (bits >> held) & 0xff
  }
  return bytes
}
