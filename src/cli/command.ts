export interface Command {
  /** One line for the list of commands. */
  summary: string
  help: string
  /** Answers the exit code. */
  run(args: string[]): Promise<number>
}
