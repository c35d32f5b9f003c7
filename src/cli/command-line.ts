import { CommanderError } from 'commander'
import { EXIT, failureOf } from './failures.ts'
import { runProgram } from './program.ts'
import { note, noteText } from './terminal.ts'

/** Runs one command line; prints an error to stderr, with `--json` as a line of JSON. Returns the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    return await runProgram(args)
  } catch (error) {
    return report(error, args.includes('--json'))
  }
}

function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok
    // Commander has printed it already; a call without an action prints the help.
    if (!json || error.code === 'commander.help') return EXIT.usage
  }
  const { exit, ...failure } = failureOf(error)
  if (json) note(JSON.stringify({ error: failure }))
  else {
    noteText(`genqueue: ${failure.message}\n`)
    for (const { pointer, detail } of failure.errors)
      if (!failure.message.includes(pointer)) note(`  ${pointer}: ${detail}`)
  }
  return exit
}
