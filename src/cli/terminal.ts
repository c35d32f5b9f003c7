import { visible } from '../shared/values/visible.ts'

/**
 * All output of the command line passes through here: test/unit/terminal.test.ts finds what does not. On a terminal the characters
 * that it would act on are visible; a pipe or a file receives the text unchanged.
 */

/** A terminal, or a stream that is not one. */
export interface Screen {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
  rows?: number
}

/** A line: on a terminal its parts cannot make two of it. */
export function writeLine(screen: Screen, line: string): void {
  screen.write(`${screen.isTTY ? visible(line) : line}\n`)
}

/** A text of any number of lines. */
export function writeText(screen: Screen, text: string): void {
  screen.write(screen.isTTY ? visible(text.replaceAll('\r\n', '\n'), '\n\t') : text)
}

/** A cell of a table, as wide as it will be on stdout. */
export const cellText = (text: string): string => (process.stdout.isTTY ? visible(text) : text)

export const printLine = (line: string): void => writeLine(process.stdout, line)
export const printText = (text: string): void => writeText(process.stdout, text)
export const printJson = (value: unknown): void => printLine(JSON.stringify(value))

/** For the person at the terminal: stderr, where programs that read the output do not see it. */
export const note = (line: string): void => writeLine(process.stderr, line)
export const noteText = (text: string): void => writeText(process.stderr, text)
