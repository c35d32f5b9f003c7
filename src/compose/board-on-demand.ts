import type { RequestHandler } from 'express'
import { BOARD_PATH } from '../api/app.ts'
import type { Queues } from '../queues/producer.ts'

/** The queue board, loaded by the first request for it: few need it, and loading it takes a quarter of the time of a start. */
export function createBoardOnDemand(queues: Queues): RequestHandler {
  let loading: Promise<RequestHandler> | null = null
  async function load(): Promise<RequestHandler> {
    try {
      const { createBoard } = await import('../queues/board.ts')
      return createBoard(queues, BOARD_PATH)
    } catch (error) {
      // The next request tries again.
      loading = null
      throw error
    }
  }
  return async (request, response, next) => {
    loading ??= load()
    const board = await loading
    await board(request, response, next)
  }
}
