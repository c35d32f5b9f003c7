import { describe, expect, test } from 'vitest'
import { classifyFailure, FAILURE_CLASSES } from '../../src/shared/replicate/rules/failure-classes.ts'

describe('a failed prediction', () => {
  test.each([
    // Faults of the platform are retried.
    ['Prediction interrupted; please retry (code: PA)', 'platform_interrupted', true],
    ['prediction interrupted', 'platform_interrupted', true],
    ['Director: unexpected error handling prediction (E9828)', 'platform_error', true],
    ['Prediction failed to start in time (E6716)', 'platform_start_timeout', true],
    ['Service is temporarily unavailable. Please try again later. (E003)', 'platform_busy', true],
    ['Service is temporarily unavailable (E004)', 'platform_busy', true],
    ['An unknown error occurred (E1000)', 'platform_error', true],
    ['Health check failed: setup (E8765)', 'platform_unhealthy', true],
    ['Director: unexpected error handling prediction', 'platform_error', true],
    ['We are currently experiencing high demand. Please try again.', 'platform_busy', true],
    ['The model is overloaded. Please try again later.', 'platform_busy', true],
    ['the server is busy', 'platform_busy', true],
    ['internal error, please try again later', 'platform_error', true],
    // A fault that would occur again is reported.
    [
      'The input or output was flagged as sensitive. Please try again with different inputs. (E005)',
      'content_flagged',
      false,
    ],
    ['NSFW content detected. Try running it again, or try a different prompt.', 'content_flagged', false],
    ['CUDA out of memory. Tried to allocate 2.00 GiB', 'out_of_memory', false],
    ['The model ran out of memory (E1001)', 'out_of_memory', false],
    ...[
      'Content was flagged by the safety system. Try different prompts or inputs.',
      'Request blocked: The uploaded audio was flagged by Google safety review.',
      'Your prompt was caught by our AI moderator. Please adjust it and try again!',
      'Request Moderated',
      'The content was moderated. Please try again later.',
      'All generated images contained NSFW content. Try running it again with a different prompt.',
      'Prompt violates our usage policies',
      'Output blocked: PROHIBITED_CONTENT',
      'This request may contain sensitive content (temporarily unavailable)',
    ].map((error): [string, string, boolean] => [error, 'content_flagged', false]),
    ['Prediction failed for an unknown reason. It might have run out of memory? (exitcode -9)', 'worker_died', false],
    ['Error starting prediction (E9243)', 'platform_start_failed', false],
    ['Prediction stopped in a non-terminal state (E8367)', 'platform_stopped', false],
    ['ValueError: the prompt says "internal error" and "busy street"', 'prediction_failed', false],
    ['Failed to upload file (E9825)', 'file_upload_failed', false],
    ["KeyError: 'prompt'", 'prediction_failed', false],
    ['', 'prediction_failed', false],
    [null, 'prediction_failed', false],
  ])('that says %j is %s, retried: %s', (error, code, resubmit) => {
    expect(classifyFailure(error)).toMatchObject({ code, resubmit })
  })

  test.each(['E10000', 'CODE1000', 'E98280', 'xE003', 'E0031', 'PA', 'code: PAX', 'seed 9828'])(
    'is not judged by what only looks like a code: %s',
    (error) => {
      expect(classifyFailure(error)).toMatchObject({ code: 'prediction_failed', resubmit: false })
    },
  )

  test('with two codes is not retried when one of them forbids it', () => {
    expect(classifyFailure('Prediction interrupted (code: PA): flagged as sensitive (E005)').resubmit).toBe(false)
    expect(classifyFailure('E1000: CUDA out of memory').resubmit).toBe(false)
  })

  test('is judged alike each time: no pattern remembers where it was', () => {
    for (const { pattern, code, source } of FAILURE_CLASSES) {
      expect(pattern.flags).not.toMatch(/[gy]/)
      expect(code).toMatch(/^[a-z_]+$/)
      expect(source).not.toBe('')
    }
  })
})
