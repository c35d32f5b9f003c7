import { expect, test } from 'vitest'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createTroubleLog } from '../../src/shared/process/trouble-log.ts'

test('a problem is logged once when it begins and once when it ends; repeats are at debug', () => {
  const lines: unknown[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const log = createLogger({ level: 'debug', readable: false, destination })
  let now = 0
  const trouble = createTroubleLog(log, () => now)
  const fields = { job: 'job_1' }
  trouble.ended('job_1', fields, 'copied')
  for (; now < 3000; now += 1000) trouble.failed('job_1', fields, 'not copied')
  trouble.failed('job_2', { job: 'job_2' }, 'not copied')
  trouble.ended('job_1', fields, 'copied')
  trouble.ended('job_1', fields, 'copied')
  trouble.failed('job_1', fields, 'not copied')
  expect(lines).toMatchObject([
    { level: 40, job: 'job_1', msg: 'not copied' },
    { level: 20, job: 'job_1', msg: 'not copied' },
    { level: 20, job: 'job_1', msg: 'not copied' },
    { level: 40, job: 'job_2', msg: 'not copied' },
    { level: 30, job: 'job_1', msg: 'copied', for_ms: 3000 },
    { level: 40, job: 'job_1', msg: 'not copied' },
  ])
})
