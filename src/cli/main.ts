#!/usr/bin/env node
import { runCommandLine } from './command-line.ts'
import { EXIT } from './failures.ts'

/** `genqueue <command>`: jobs over the API, and operator commands on Redis. */

/** A reader can close the pipe early, such as `| head -1`. */
process.stdout.on('error', (error) => {
  if ('code' in error && error.code === 'EPIPE') process.exit(EXIT.ok)
  throw error
})

process.exitCode = await runCommandLine(process.argv.slice(2))
