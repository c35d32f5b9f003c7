import type { Accounts } from './accounts.ts'
import type { PredictionPort } from './prediction-port.ts'

/**
 * Reads of models within the budget. A model or deployment may be private to any of the accounts, so all of them are asked until one
 * knows it. Throws the first error when none does and one could not be asked.
 */
export function createModelReads(
  { all }: Pick<Accounts, 'all'>,
  readTimeout: number,
): Pick<PredictionPort, 'model' | 'deployment'> {
  async function ask<T>(read: (upstream: PredictionPort) => Promise<T>, isFound: (found: T) => boolean): Promise<T> {
    const failures: unknown[] = []
    let answer: { value: T } | null = null
    for (const { upstream, reads } of all)
      try {
        await reads.of('poll').take(AbortSignal.timeout(readTimeout))
        answer = { value: await read(upstream) }
        if (isFound(answer.value)) return answer.value
      } catch (error) {
        failures.push(error)
      }
    if (answer === null || failures.length > 0) throw failures[0]
    return answer.value
  }
  return {
    model: (name, version) =>
      ask(
        (upstream) => upstream.model(name, version),
        (found) => found !== null,
      ),
    deployment: (name) => ask((upstream) => upstream.deployment(name), Boolean),
  }
}
