import { DBOS } from '@dbos-inc/dbos-sdk'
import express from 'express'
import { create } from './create.mjs'

const { PORT, PG_URL } = process.env

DBOS.setConfig({ name: 'gen', systemDatabaseUrl: PG_URL, runAdminServer: false, logLevel: 'warn' })
const gen = DBOS.registerWorkflow(
  async (input) => {
    const hook = `http://127.0.0.1:${PORT}/hook/${DBOS.workflowID}`
    const prediction = await DBOS.runStep(() => create(input, hook), { name: 'create' })
    const done = await DBOS.recv('done', 600)
    return { prediction: prediction.id, output: done?.output }
  },
  { name: 'gen' },
)
await DBOS.launch()

const app = express().use(express.json())
app.post('/jobs', async (req, res) => {
  const handle = await DBOS.startWorkflow(gen)(req.body)
  res.status(202).json({ id: handle.workflowID })
})
app.post('/hook/:id', async (req, res) => {
  await DBOS.send(req.params.id, req.body, 'done', req.body.id)
  res.sendStatus(200)
})
app.get('/jobs/:id', async (req, res) => {
  const handle = DBOS.retrieveWorkflow(req.params.id)
  const status = await handle.getStatus()
  if (status?.status === 'SUCCESS') res.json(await handle.getResult())
  else res.status(202).json({})
})
app.listen(Number(PORT), '127.0.0.1')
