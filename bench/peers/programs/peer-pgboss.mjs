import express from 'express'
import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { create } from './create.mjs'

const { PORT, PG_URL } = process.env

const db = new Pool({ connectionString: PG_URL, max: 10 })
db.on('error', console.error)
await db.query('create table if not exists jobs(id uuid primary key, prediction text, output jsonb)')

const boss = new PgBoss(PG_URL)
boss.on('error', console.error)
await boss.start()
await boss.createQueue('create')
const work = async ({ data: { id, input } }) => {
  const prediction = await create(input, `http://127.0.0.1:${PORT}/hook/${id}`)
  await db.query('update jobs set prediction=$2 where id=$1', [id, prediction.id])
}
// 0.5 s is the shortest interval that it accepts; with `useListenNotify` it finished as many jobs a second.
for (let worker = 0; worker < 4; worker++)
  await boss.work('create', { batchSize: 10, pollingIntervalSeconds: 0.5 }, (jobs) => Promise.all(jobs.map(work)))

const app = express().use(express.json())
app.post('/jobs', async (req, res) => {
  const id = crypto.randomUUID()
  const client = await db.connect()
  try {
    await client.query('begin')
    await client.query('insert into jobs(id) values($1)', [id])
    const executeSql = (text, values) => client.query(text, values)
    await boss.send('create', { id, input: req.body }, { db: { executeSql } })
    await client.query('commit')
  } finally {
    client.release()
  }
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
