// `npm run build` compiles service, simulator and client into dist/build: ES modules (the client also CommonJS), declarations
// and source maps. A checkout does not need it: it runs its sources.
import { join } from 'node:path'
import { build, ROOT } from './packaging/build.ts'

const { service, client } = await build(join(ROOT, 'dist', 'build'))
console.log(`${service}\n${client}`)
