import express from 'express'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { parseArgs } from 'node:util'

/** Baseline for accepting a job: Express, its JSON parser, and one BullMQ add. `POST /nothing` does not even parse or add. */

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    redis: { type: 'string', default: '' },
    prefix: { type: 'string' },
  },
})

const queue = new Queue('bare', {
  connection: new Redis(values.redis, { maxRetriesPerRequest: null }),
  ...(values.prefix === undefined ? {} : { prefix: values.prefix }),
})
const app = express()
app.post('/jobs', express.json(), async (request, response) => {
  const job = await queue.add('run', request.body, { removeOnComplete: true, removeOnFail: true })
  response.status(202).json({ id: job.id })
})
app.post('/nothing', (request, response) => {
  request.resume()
  response.status(202).end()
})
app.listen(Number(values.port), '127.0.0.1', () => process.stdout.write('ready\n'))
