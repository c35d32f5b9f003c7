// `npm run pack` leaves the tarballs of the three packages in dist/packages.
import { join } from 'node:path'
import { pack } from './packaging/pack.ts'
import { ROOT } from './packaging/build.ts'

const kB = (bytes: number): string => `${Math.ceil(bytes / 1000)} kB`

for (const { file, size, unpackedSize, files } of await pack(join(ROOT, 'dist')))
  console.log(`${file}: ${kB(size)}, unpacked ${kB(unpackedSize)} in ${files.length} files`)
