/** One server-sent event, as received. */
export interface ReceivedEvent {
  event: string
  data: string
}

/**
 * Server-sent events of a body (HTML standard, section 9.2.6), without ids and `retry`. Throws when one event has more than
 * `maxLength` characters.
 */
export async function* readEvents(
  body: AsyncIterable<Uint8Array>,
  maxLength: number,
): AsyncGenerator<ReceivedEvent, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  let event = 'message'
  let data: string[] = []
  let length = 0
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true })
    // A CR at the end may be the first half of a line break.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
      if (line === '') {
        if (data.length > 0) yield { event, data: data.join('\n') }
        event = 'message'
        data = []
        length = 0
      } else if (name === 'event') event = value
      else if (name === 'data') {
        data.push(value)
        length += value.length
      }
    }
    if (rest.length + length > maxLength) throw new Error(`an event of more than ${maxLength} characters`)
  }
}
