import { createServer } from 'node:http2'
import * as restate from '@restatedev/restate-sdk'
import express from 'express'
import { create } from './create.mjs'

const { PORT, SDK_PORT, RESTATE_INGRESS, RESTATE_ADMIN } = process.env

const gen = restate.workflow({
  name: 'gen',
  handlers: {
    run: async (ctx, input) => {
      const prediction = await ctx.run('create', () => create(input, `http://127.0.0.1:${PORT}/hook/${ctx.key}`))
      const done = await ctx.promise('done')
      return { prediction: prediction.id, output: done.output }
    },
    done: async (ctx, body) => {
      await ctx.promise('done').resolve(body)
    },
  },
})
const endpoint = createServer(restate.createEndpointHandler({ services: [gen] }))
await new Promise((resolve) => endpoint.listen(Number(SDK_PORT), '127.0.0.1', resolve))

const post = (url, body) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
const registered = await post(`${RESTATE_ADMIN}/deployments`, { uri: `http://127.0.0.1:${SDK_PORT}`, force: true })
if (!registered.ok) throw new Error(`register ${registered.status} ${await registered.text()}`)

const app = express().use(express.json())
app.post('/jobs', async (req, res) => {
  const id = crypto.randomUUID()
  const sent = await post(`${RESTATE_INGRESS}/gen/${id}/run/send`, req.body)
  res.status(sent.ok ? 202 : 503).json({ id })
})
app.post('/hook/:id', async (req, res) => {
  const sent = await post(`${RESTATE_INGRESS}/gen/${req.params.id}/done/send`, req.body)
  res.sendStatus(sent.ok ? 200 : 503)
})
app.get('/jobs/:id', async (req, res) => {
  const result = await fetch(`${RESTATE_INGRESS}/restate/workflow/gen/${req.params.id}/output`)
  res.status(result.status === 200 ? 200 : 202).json(result.status === 200 ? await result.json() : {})
})
app.listen(Number(PORT), '127.0.0.1')
