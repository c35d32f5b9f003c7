import { afterAll } from 'vitest'
import { endLeftovers } from './after-file.ts'

/** A setup file: vitest runs it for each test file. */
afterAll(endLeftovers)
