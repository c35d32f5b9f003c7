import mime from 'mime'

/** Extensions where the registry's first one is unusual or missing. */
const EXTENSIONS: Record<string, string> = {
  'audio/mpeg': 'mp3',
  'audio/ogg': 'ogg',
  'audio/aac': 'aac',
  'audio/flac': 'flac',
  'audio/wave': 'wav',
  'audio/vnd.wave': 'wav',
  'video/quicktime': 'mov',
  'application/x-ndjson': 'ndjson',
  'application/yaml': 'yaml',
  'application/x-safetensors': 'safetensors',
  'model/stl': 'stl',
  'model/obj': 'obj',
  'image/x-exr': 'exr',
}

const TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}$/
/** Types without information. */
const VAGUE = new Set([
  'application/octet-stream',
  'binary/octet-stream',
  'application/x-binary',
  'application/unknown',
])

/** Media type in lower case without parameters, except a UTF-8 charset of text. Null: none, or one without information. */
export function plainType(given: string | null): string | null {
  const [type = '', ...parameters] = (given ?? '').toLowerCase().split(';')
  const plain = type.trim()
  if (!TYPE.test(plain) || VAGUE.has(plain)) return null
  const isUtf8 = parameters.some((one) => /^\s*charset="?utf-8"?\s*$/.test(one))
  return plain.startsWith('text/') && isUtf8 ? `${plain}; charset=utf-8` : plain
}

/** `text/plain` of `text/plain; charset=utf-8`; '' of ''. */
export const withoutParameters = (mediaType: string): string => mediaType.split(';')[0]?.trim().toLowerCase() ?? ''

/** File name extension for a type: letters and digits only. */
export function extensionOf(mediaType: string): string {
  const type = withoutParameters(mediaType)
  const known = Object.hasOwn(EXTENSIONS, type) ? EXTENSIONS[type] : mime.getExtension(type)
  if (known && /^[a-z0-9]{1,16}$/.test(known)) return known
  const plain = type.split('/')[1]?.replaceAll(/[^a-z0-9]/g, '')
  return plain ? plain.slice(0, 16) : 'bin'
}

/** Media type by the file name in a link; null: none. */
export function typeOfName(link: string): string | null {
  const path = URL.canParse(link) ? new URL(link).pathname : ''
  return plainType(mime.getType(path))
}
