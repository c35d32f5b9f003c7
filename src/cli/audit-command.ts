import { parseArgs } from 'node:util'
import type { AuditReport, Finding } from '../shared/audit/audit.ts'
import { INVARIANTS } from '../shared/audit/finding.ts'
import type { Command } from './command.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { note, printJson, printLine, printText } from './terminal.ts'

const HELP = `Usage: genqueue audit [options]

Looks at every job, attempt, index, counter and due time, at the stored files, and at Replicate's list of the last hour,
and prints every promise that does not hold. It changes nothing, and may run beside the service or without it.

  --repair      puts right what is safe: due times, members and sets of indexes, counters
  --quiescent   the service stands still: nothing may be unfinished or due
  --skip-files  does not read the stored files
  --json        prints each finding as a line of JSON

Exit codes: 0 nothing is wrong (any more), 1 something is, 2 or 3 the audit could not be made.
`

const options = {
  repair: { type: 'boolean', default: false },
  quiescent: { type: 'boolean', default: false },
  'skip-files': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`

function line({ invariant, id, detail }: Finding, repaired: boolean): string {
  return `${repaired ? 'repaired  ' : ''}${invariant}  ${id}  ${detail}`
}

function summary({ findings, repaired, skipped, jobs, attempts, predictions }: AuditReport): string {
  const upstream = predictions === null ? 'upstream did not answer' : `${plural(predictions, 'prediction')} upstream`
  const curable = findings.filter(({ repairable }) => repairable).length
  return [
    `Looked at ${plural(jobs, 'job')}, ${plural(attempts, 'attempt')}, ${upstream}: ${plural(findings.length, 'finding')}`,
    ...(curable > 0 ? [`${curable} of them --repair can put right`] : []),
    ...(repaired.length > 0 ? [`${repaired.length} repaired`] : []),
    ...(skipped.length > 0 ? [`${plural(skipped.length, 'record')} of a newer release left alone`] : []),
  ].join(', ')
}

function print(report: AuditReport, asJson: boolean): void {
  const { findings, repaired } = report
  if (asJson) {
    const lines = [
      ...repaired.map((finding) => ({ ...finding, repaired: true })),
      ...findings.map((finding) => ({ ...finding, repaired: false })),
    ]
    for (const one of lines) printJson(one)
    note(`${summary(report)}.`)
    return
  }
  for (const finding of repaired) printLine(line(finding, true))
  for (const finding of findings) printLine(line(finding, false))
  for (const name of new Set(findings.map(({ invariant }) => invariant))) printText(`\n${name}: ${INVARIANTS[name]}`)
  printText(`${findings.length > 0 ? '\n\n' : ''}${summary(report)}.\n`)
}

export const auditCommand: Command = {
  help: HELP,
  async run(args) {
    const { values } = parseArgs({ args, options, strict: true })
    return runOperatorCommand(async ({ audit }) => {
      const { repair, quiescent } = values
      const report = await audit({ repair, quiescent, files: !values['skip-files'] })
      print(report, values.json)
      return report.findings.length > 0 ? 1 : 0
    })
  },
}
