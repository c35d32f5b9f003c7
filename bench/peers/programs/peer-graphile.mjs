import express from 'express'
import { run, runMigrations } from 'graphile-worker'
import { Pool } from 'pg'
import { create } from './create.mjs'

const { PORT, PG_URL } = process.env

const db = new Pool({ connectionString: PG_URL, max: 10 })
db.on('error', console.error)
await db.query('create table if not exists jobs(id uuid primary key, prediction text, output jsonb)')

await runMigrations({ pgPool: db })
await run({
  pgPool: db,
  concurrency: 10,
  noHandleSignals: true,
  pollInterval: 1000,
  taskList: {
    create: async ({ id, input }) => {
      const prediction = await create(input, `http://127.0.0.1:${PORT}/hook/${id}`)
      await db.query('update jobs set prediction=$2 where id=$1', [id, prediction.id])
    },
  },
})

const app = express().use(express.json())
app.post('/jobs', async (req, res) => {
  const id = crypto.randomUUID()
  const job = JSON.stringify({ id, input: req.body })
  const insert = `with j as (insert into jobs(id) values($1)) select graphile_worker.add_job('create', $2::json)`
  await db.query(insert, [id, job])
  res.status(202).json({ id })
})
app.post('/hook/:id', async (req, res) => {
  const output = JSON.stringify(req.body.output)
  await db.query('update jobs set output=$2 where id=$1 and output is null', [req.params.id, output])
  res.sendStatus(200)
})
app.get('/jobs/:id', async (req, res) => {
  const { rows } = await db.query('select output from jobs where id=$1', [req.params.id])
  const output = rows[0]?.output ?? null
  res.status(output ? 200 : 202).json({ output })
})
app.listen(Number(PORT), '127.0.0.1')
