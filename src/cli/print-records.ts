import { cellText, printJson, printLine } from './terminal.ts'

/** What a cell shows of a value: nothing for null, words for a list. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (Array.isArray(value)) return value.join(',')
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
}

/** Records as a table of some columns, or as a line of JSON each. */
export function printRecords<T extends object>(
  records: readonly T[],
  options: { json: boolean; columns: Record<string, (record: T) => unknown> },
): void {
  if (options.json) {
    for (const record of records) printJson(record)
    return
  }
  const columns = Object.entries(options.columns)
  const rows = [
    columns.map(([name]) => name.toUpperCase()),
    ...records.map((record) => columns.map(([, of]) => cellText(cell(of(record))))),
  ]
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  for (const row of rows)
    printLine(
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}
