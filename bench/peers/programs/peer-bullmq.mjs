import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import express from 'express'
import { create } from './create.mjs'
const P = Number(process.env.PORT),
  redis = () => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null })
const r = redis(),
  queue = new Queue('gen', { connection: redis() })
// oxlint-disable-next-line no-new
new Worker(
  'gen',
  async (j) => {
    const p = await create(j.data, `http://127.0.0.1:${P}/hook/${j.id}`)
    await r.hset('job:' + j.id, 'prediction', p.id)
  },
  { connection: redis(), concurrency: 25 },
)
const app = express().use(express.json())
app.post('/jobs', async (req, res) => {
  const id = crypto.randomUUID()
  await queue.add('gen', req.body, { jobId: id, removeOnComplete: true })
  res.status(202).json({ id })
})
app.post('/hook/:id', async (req, res) => {
  await r.hset('job:' + req.params.id, 'output', JSON.stringify(req.body.output))
  res.sendStatus(200)
})
app.get('/jobs/:id', async (req, res) => {
  const o = await r.hget('job:' + req.params.id, 'output')
  res.status(o ? 200 : 202).json({ output: o ? JSON.parse(o) : null })
})
app.listen(P, '127.0.0.1', () => console.log('bullmq peer up'))
