import { defineConfig } from 'vitest/config'

/** Measurements: `npm run bench -- create-budget`. They print figures, and assert only results that do not depend on time. */
export default defineConfig({
  test: {
    include: ['bench/**/*.bench.ts'],
    setupFiles: ['test/support/end-leftovers.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 600_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
})
