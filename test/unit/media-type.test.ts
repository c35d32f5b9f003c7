import { expect, test } from 'vitest'
import { refusedType } from '../../src/shared/inputs/media-type.ts'

const ALLOWED = ['image/*', 'audio/wav']
const LIST = 'Accepted types (UPLOAD_TYPES): image/*, audio/wav.'

test.each<[found: string, said: string | null, what: string]>([
  ['application/pdf', null, 'Files of the type application/pdf are not accepted.'],
  ['application/pdf', 'application/pdf; v=1', 'Files of the type application/pdf are not accepted.'],
  ['application/pdf', 'image/png', 'The file is declared as image/png, but its bytes are application/pdf.'],
  [
    'application/octet-stream',
    'image/PNG',
    'The file is declared as image/png, but its bytes have no known signature.',
  ],
])('a file of %s, declared as %s, is refused with the reason and the accepted types', (found, said, what) => {
  expect(refusedType(found, said, ALLOWED)).toBe(`${what} ${LIST}`)
})
