import type { JobStore } from '../../src/shared/jobs/ports.ts'
import type { Generation } from '../../src/shared/redis/generation.ts'

/** Lets creates begin without a recovery: where nothing runs upstream there is nothing to recover. */
export async function openGate(generation: Generation, store: JobStore): Promise<void> {
  const { id } = await generation.look()
  if (!(await store.allowIntents(id, 'default'))) throw new Error('Redis holds another generation by now')
}
