import type { Command } from 'commander'
import type { Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT } from './failures.ts'
import { readableFile } from './read-input.ts'
import { printJson, printLine } from './terminal.ts'

/** `upload`: files for inputs. */
export function addUpload(program: Command, finish: Finish): void {
  const command = program
    .command('upload')
    .argument('<files...>', 'files of this machine')
    .summary('uploads files for inputs')
    .description(
      'Uploads files, and prints a link of each that inputs can contain. Without a use they are kept for a day.',
    )
  withConnection(command).action(async (paths: string[]) => {
    finish(await upload(paths, command.opts<ConnectionOptions>()))
  })
}

async function upload(paths: readonly string[], options: ConnectionOptions): Promise<number> {
  // A wrong name is found before the first file is sent.
  const files = await Promise.all(paths.map(readableFile))
  const client = await connect(options)
  for (const file of files) {
    const made = await client.upload(file)
    if (options.json) printJson(made)
    else printLine(made.url)
  }
  return EXIT.ok
}
