import { connect } from 'node:net'

/** Sends bytes as they are to a server on this machine; what came back until it closed, or `enough` was seen. */
export function rawRequest(url: string, bytes: string | string[], enough = /never/): Promise<string> {
  const { port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1')
    let answer = ''
    const end = (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('data', (chunk) => {
      answer += chunk.toString()
      if (enough.test(answer)) end()
    })
    socket.on('error', end)
    socket.on('close', end)
    for (const part of [bytes].flat()) socket.write(part)
  })
}
