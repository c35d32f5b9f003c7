import { afterAll, afterEach, expect } from 'vitest'
import { takeWrongAnswers } from './check-answers.ts'

/** A setup file: vitest runs it for each test file. A response that docs/openapi.yaml does not describe fails the test. */
const check = (): void => {
  expect(takeWrongAnswers(), 'responses that docs/openapi.yaml does not describe').toEqual([])
}
afterEach(check)
afterAll(check)
