#!/usr/bin/env node
import { CommanderError } from 'commander'
import { EXIT, failureOf } from './failures.ts'
import { runProgram } from './program.ts'
import { note, noteText } from './terminal.ts'

/** `genqueue <command>`: jobs over the API, and operator commands on Redis. */

const args = process.argv.slice(2)

/** A reader can close the pipe early, such as `| head -1`. */
process.stdout.on('error', (error) => {
  if ('code' in error && error.code === 'EPIPE') process.exit(EXIT.ok)
  throw error
})

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const { exit, ...failure } = failureOf(error)
  if (args.includes('--json')) note(JSON.stringify({ error: failure }))
  else {
    noteText(`genqueue: ${failure.message}\n`)
    for (const { pointer, detail } of failure.errors)
      if (!failure.message.includes(pointer)) note(`  ${pointer}: ${detail}`)
  }
  return exit
}

try {
  process.exitCode = await runProgram(args)
} catch (error) {
  process.exitCode = report(error)
}
