import { defineConfig } from 'vitest/config'

/** What `npm run chaos -- --soak` runs: too long for each change. */
export default defineConfig({
  test: {
    include: ['test/chaos/*.soak.ts'],
    setupFiles: ['test/support/end-leftovers.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    hookTimeout: 60_000,
    maxWorkers: 1,
  },
})
