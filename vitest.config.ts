import { defineConfig } from 'vitest/config'
import { SlowFirst } from './test/support/slow-first.ts'

const PURE = ['test/unit/**/*.test.ts', 'test/architecture.test.ts']

export default defineConfig({
  test: {
    // Tests mostly wait for processes: three files at a time keep two cores busy without starving what they start.
    maxWorkers: 3,
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        test: {
          name: 'rules',
          include: PURE,
          setupFiles: ['test/support/property-seed.ts'],
          testTimeout: 30_000,
          // They hold no state and start nothing: what one file has loaded serves the next.
          isolate: false,
        },
      },
      {
        test: {
          name: 'service',
          include: ['test/**/*.test.ts'],
          exclude: PURE,
          setupFiles: ['test/support/property-seed.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
