/** A command that works on Redis, for operators. */
export interface Command {
  help: string
  /** Answers the exit code. */
  run(args: string[]): Promise<number>
}
