import type { OperatorTools } from '../compose/operators.ts'
import type { Finding } from '../shared/audit/audit.ts'
import { INVARIANTS } from '../shared/audit/rules/finding.ts'
import { describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { note, printJson, printLine, printText } from './terminal.ts'

interface Given {
  repair?: boolean
  quiescent?: boolean
  skipFiles?: boolean
  shares?: boolean
  json?: boolean
}

type Report = Awaited<ReturnType<OperatorTools['audit']>>

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`

function line({ invariant, id, detail }: Finding, repaired: boolean): string {
  return `${repaired ? 'repaired  ' : ''}${invariant}  ${id}  ${detail}`
}

const shareLine = ({ tenant, priority, begun, waiting, cost, worst_wait }: Report['shares'][number]): string =>
  `${tenant}  ${priority}  ${begun} begun  ${waiting} waiting  ${cost} credits  waited ${(worst_wait / 1000).toFixed(1)} s at most`

function summary({ findings, repaired, skipped, jobs, attempts, predictions, unlisted }: Report): string {
  const listed = predictions === null ? [] : [`${plural(predictions, 'prediction')} at Replicate`]
  const curable = findings.filter(({ repairable }) => repairable).length
  const parts = [
    `Checked ${[plural(jobs, 'job'), plural(attempts, 'attempt'), ...listed].join(', ')}: ${plural(findings.length, 'finding')}`,
    ...(curable > 0 ? [`${curable} repairable with --repair`] : []),
    ...(repaired.length > 0 ? [`${repaired.length} repaired`] : []),
    ...(skipped.length > 0 ? [`${plural(skipped.length, 'record')} of a newer release skipped`] : []),
  ].join(', ')
  return unlisted === null ? `${parts}.` : `${parts}.\nReplicate's predictions were not checked: ${unlisted}.`
}

function print(report: Report, asJson: boolean, withShares: boolean): void {
  const { findings, repaired } = report
  if (asJson) {
    const lines = [
      ...repaired.map((finding) => ({ ...finding, repaired: true })),
      ...findings.map((finding) => ({ ...finding, repaired: false })),
    ]
    for (const one of lines) printJson(one)
    if (withShares) for (const one of report.shares) printJson(one)
    note(summary(report))
    return
  }
  for (const finding of repaired) printLine(line(finding, true))
  for (const finding of findings) printLine(line(finding, false))
  for (const name of new Set(findings.map(({ invariant }) => invariant))) printText(`\n${name}: ${INVARIANTS[name]}`)
  if (withShares) for (const share of report.shares) printLine(shareLine(share))
  printText(`${findings.length > 0 ? '\n\n' : ''}${summary(report)}\n`)
}

const runAudit = ({
  repair = false,
  quiescent = false,
  skipFiles = false,
  shares = false,
  json = false,
}: Given): Promise<number> =>
  runOperatorCommand(async ({ audit }) => {
    const report = await audit({ repair, quiescent, files: !skipFiles })
    print(report, json, shares)
    if (report.findings.length > 0) return EXIT.failed
    return report.unlisted === null && report.skipped.length === 0 ? EXIT.ok : EXIT.incomplete
  })

export const auditCommand: DefineCommand = (command, finish) => {
  describeOperator(
    command,
    "Checks the invariants of every job, attempt, index, counter and due time, of the stored files, and of Replicate's predictions of the last hour, and prints each violation. Without --repair the audit changes nothing. It can run while the service runs, or without it.",
    '0 no violation (or all repaired), 1 violations, 2 or 3 the audit could not run, 5 no violation, but not everything was checked: Replicate could not be listed, or records were written by a newer release.',
  )
    .option(
      '--repair',
      'repair what can be repaired safely: due times, index members and sets, counters, what tenants store',
    )
    .option(
      '--quiescent',
      'also require that no job is unfinished and nothing is due; for a deployment without any work',
    )
    .option('--skip-files', 'do not read the stored files')
    .option(
      '--shares',
      'also print for each tenant and class how many jobs have begun and wait, what they cost, and the longest wait',
    )
    .option('--json', 'print each finding as a line of JSON')
    .action(async (given: Given) => finish(await runAudit(given)))
}
