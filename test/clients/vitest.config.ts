import { defineConfig } from 'vitest/config'

/** `npm run test:clients`: programs of others against the simulator and against `/replicate/v1`. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/clients/*.clients.ts'],
    setupFiles: ['test/support/end-leftovers.ts', 'test/support/answers-checked.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 180_000,
    hookTimeout: 600_000,
  },
})
