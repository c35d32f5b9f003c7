import { z } from 'zod'
import { CLOCKS } from './clock.ts'
import { habitsSchema } from './habits.ts'

/** The options of `startSimulator`, which programs without types give too. */
const optionsSchema = z.strictObject({
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(65_535).optional(),
  tls: z.boolean().optional(),
  log: z.unknown().optional(),
  dataDir: z.string().min(1).nullish(),
  speed: z.number().positive().optional(),
  createsPerMinute: z.number().positive().optional(),
  readsPerMinute: z.number().positive().optional(),
  burst: z.int().positive().optional(),
  credit: z.number().nonnegative().optional(),
  models: z.union([z.string().min(1), z.looseObject({})]).optional(),
  seed: z.int().optional(),
  clock: z.enum(CLOCKS).optional(),
  habits: habitsSchema.optional(),
})

/** Throws an error that names each invalid or unknown option and what is expected. */
export function checkOptions(options: object): void {
  const parsed = optionsSchema.safeParse(options)
  if (!parsed.success) throw new Error(`the options of startSimulator are not valid:\n${z.prettifyError(parsed.error)}`)
}
