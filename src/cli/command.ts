/** A command that works on Redis, for operators. */
export interface Command {
  help: string
  /** Returns the exit code. */
  run(args: string[]): Promise<number>
}
