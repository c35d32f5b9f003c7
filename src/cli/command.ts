import type { Command } from 'commander'

/** Receives the exit code of a command. */
export type Finish = (exit: number) => void

/** Adds the description, options and actions of an operator command, which works on Redis. */
export type DefineCommand = (command: Command, finish: Finish) => void

/** Describes an operator command in its help. `exits`: the exit codes that it can return. */
export const describeOperator = (command: Command, description: string, exits: string): Command =>
  command
    .description(description)
    .addHelpText('after', `\nWorks directly on Redis; the service need not be running.\n\nExit codes: ${exits}`)

/** Adds an action, such as `create` of `genqueue keys create`. */
export const addAction = (command: Command, name: string, summary: string): Command =>
  command
    .command(name)
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
