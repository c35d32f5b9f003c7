import { defineConfig } from 'vitest/config'
import { SlowFirst } from './test/support/slow-first.ts'

/** Only a failing test lasts that long: no test depends on the speed of the machine. */
const TEST_TIMEOUT_MS = 180_000

const PURE = ['test/unit/**/*.test.ts', 'test/architecture.test.ts']

export default defineConfig({
  test: {
    // Tests mostly wait for processes and timers: with four files at a time two cores were idle for a quarter of the time.
    maxWorkers: 6,
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        test: {
          name: 'rules',
          include: PURE,
          setupFiles: ['test/support/property-seed.ts', 'test/support/end-leftovers.ts'],
          testTimeout: TEST_TIMEOUT_MS,
          // They hold no state and start nothing: what one file has loaded serves the next.
          isolate: false,
        },
      },
      {
        test: {
          name: 'service',
          // Loading the modules again for each file would cost more than many files themselves.
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: PURE,
          setupFiles: [
            'test/support/property-seed.ts',
            'test/support/end-leftovers.ts',
            'test/support/answers-checked.ts',
          ],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: TEST_TIMEOUT_MS,
          hookTimeout: TEST_TIMEOUT_MS,
        },
      },
    ],
  },
})
