import { setTimeout as delay } from 'node:timers/promises'
import type { Response } from 'express'
import { PROBE_PAUSE_MS, type Arrival } from '../shared/doctor/rules/probe.ts'

/** A larger probe tests the way of its body only. */
const SMALL_BYTES = 10_000

/**
 * Answers a probe in two lines with a pause between them, under the headers of an event stream that matter to proxies: the
 * sender sees whether a proxy on the way keeps responses back.
 */
export async function answerProbe(response: Response, arrival: Arrival): Promise<void> {
  response.status(202).set({
    'content-type': 'application/x-ndjson',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.write(`${JSON.stringify(arrival)}\n`)
  if (arrival.bytes < SMALL_BYTES) await delay(PROBE_PAUSE_MS)
  response.end('{"end":true}\n')
}
