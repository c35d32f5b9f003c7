import { runProcess } from './start.ts'

/** `npm start`: the service, in a checkout. */

await runProcess({ command: 'npm start --', args: process.argv.slice(2) })
