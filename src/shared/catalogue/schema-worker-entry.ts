import { parentPort } from 'node:worker_threads'
import { compileCheck } from './input-check.ts'
import type { InputCheck } from './ports.ts'
import type { SchemaReply, SchemaTask } from './schema-worker.ts'
import { messageOf } from '../values/error-text.ts'

/** Worker thread that compiles and runs untrusted schemas. It can be terminated at any moment. */

const MAX_KEPT = 50
const kept = new Map<string, InputCheck>()

function checkOf({ hash, schema, allErrors }: SchemaTask): InputCheck {
  const known = kept.get(hash)
  if (known) return known
  const [oldest = ''] = kept.size >= MAX_KEPT ? kept.keys() : []
  kept.delete(oldest)
  const check = compileCheck(schema, allErrors)
  kept.set(hash, check)
  return check
}

function run(task: SchemaTask): SchemaReply {
  let check: InputCheck
  try {
    check = checkOf(task)
  } catch (error) {
    return { kind: 'not_compiled', message: messageOf(error) }
  }
  return { kind: 'done', errors: task.input === null ? [] : check(task.input) }
}

parentPort?.on('message', (task: SchemaTask) => parentPort?.postMessage(run(task), []))
parentPort?.postMessage('ready', [])
