import { type SeededRandom, seededRandom } from './seeded-random.ts'

/**
 * Text that a language model might return: a title, an outline and paragraphs around the words of the prompt. The same
 * prompt and seed give the same text.
 */
export function writeText(prompt: string, seed: number): string {
  const random = seededRandom('text', prompt, seed)
  const topic = topicOf(prompt)
  const wanted = prompt.toLowerCase()
  if (/\b(titles?|headlines?|names?|ideas?|slogans?)\b/.test(wanted)) return ideas(topic, random)
  if (/\b(script|scenes?|dialogue|video|podcast)\b/.test(wanted)) return script(topic, random)
  if (/\b(poem|verse|haiku|song|lyrics)\b/.test(wanted)) return poem(topic, random)
  return essay(topic, random)
}

/** Splits the text into token-sized pieces, whose concatenation is the text. */
export function toTokens(text: string): string[] {
  return text.match(/\s*\S{1,6}|\s+/g) ?? []
}

/** Estimates four characters per token. */
export const tokenCount = (text: string) => Math.max(1, Math.ceil(text.length / 4))

const STOP_WORDS = new Set(
  `a about an and are as at be by can could do explain describe for from give generate give help how i in into is it its
  list make me my of on or outline please poem script short should song tell that the their them there this title titles
  to us want we what when where which who why will with would write you your five ten three ideas headlines names draft
  article story paragraph paragraphs words sentences essay blog post create compose summary summarise summarize`.split(
    /\s+/,
  ),
)

/** The words of the prompt that carry its subject. */
function topicOf(prompt: string): string {
  const words = prompt
    .slice(0, 600)
    .replace(/[^\p{L}\p{N}'\s-]/gu, ' ')
    .split(/\s+/)
    .filter((word) => word !== '' && !STOP_WORDS.has(word.toLowerCase()))
  return words.slice(0, 6).join(' ') || 'the subject'
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

const ANGLES = [
  'what it is, and what it is not',
  'where it began',
  'the part that most people miss',
  'how it works from day to day',
  'what it costs, and what it saves',
  'a small example',
  'the common mistakes',
  'what the sceptics say',
  'where it goes from here',
] as const

const OPENINGS = [
  'There is a simple way to look at',
  'Few things reward patience as much as',
  'Ask ten people and you will hear ten answers about',
  'It is tempting to begin with numbers, but',
  'Start with the quiet side of',
] as const

const MIDDLES = [
  'The details matter more than the plan: a good beginning is small enough to finish in one sitting.',
  'What looks like luck from outside is, more often than not, a habit that somebody kept.',
  'Two constraints shape everything that follows: the time you have, and the attention you can give.',
  'The first version teaches what the tenth version will need, so it should be cheap to throw away.',
  'Seen from a little distance the parts fall into an order that is hard to notice up close.',
  'There is a trade between speed and care here, and it helps to say aloud which one you choose.',
  'The people who do it well rarely agree on method, yet they agree on what must not be skipped.',
  'Most of the effort goes into the last tenth, which is also where most of the difference lies.',
] as const

const ENDINGS = [
  'That is where the interesting questions start.',
  'Keep what works, and be honest about what does not.',
  'The rest is practice.',
  'It is worth coming back to this in a month.',
  'Small, steady steps carry further than they seem to.',
] as const

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => ({ item, key: random.next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

function paragraph(topic: string, random: SeededRandom): string {
  const sentences = shuffled(MIDDLES, random).slice(0, random.integer(2, 4))
  return [`${random.pick(OPENINGS)} ${topic}.`, ...sentences, random.pick(ENDINGS)].join(' ')
}

function essay(topic: string, random: SeededRandom): string {
  const parts = shuffled(ANGLES, random).slice(0, random.integer(4, 6))
  const outline = parts.map((part, i) => `${i + 1}. ${capital(part)}`).join('\n')
  const body = parts.map((part) => `## ${capital(part)}\n\n${paragraph(topic, random)}`).join('\n\n')
  return `# ${capital(topic)}\n\n**Outline**\n\n${outline}\n\n${body}\n\n## In one sentence\n\n${capital(topic)}: ${random.pick(ENDINGS).toLowerCase()}\n`
}

function ideas(topic: string, random: SeededRandom): string {
  const shapes = shuffled(
    [
      `${capital(topic)}: a field guide`,
      `What nobody tells you about ${topic}`,
      `The quiet art of ${topic}`,
      `${capital(topic)}, one small step at a time`,
      `Seven days with ${topic}`,
      `Why ${topic} is harder than it looks`,
      `A short history of ${topic}`,
      `${capital(topic)} after dark`,
      `Letters about ${topic}`,
      `Everything changes: ${topic} this year`,
    ],
    random,
  )
  const list = shapes.map((line, i) => `${i + 1}. **${line}** - ${random.pick(ENDINGS)}`).join('\n')
  return `Here are ten ideas about ${topic}.\n\n${list}\n\nIf I had to choose one, it would be number ${random.integer(1, 10)}: ${random.pick(MIDDLES)}\n`
}

function script(topic: string, random: SeededRandom): string {
  const scenes = shuffled(ANGLES, random).slice(0, random.integer(4, 6))
  const lines = scenes.map((part, i) => {
    const seconds = random.integer(12, 40)
    return `### Scene ${i + 1} - ${capital(part)} (${seconds} s)\n\n*Picture:* ${random.pick(['a slow pan', 'a close-up', 'an aerial view', 'a still life', 'a street at dusk'])}, ${topic}.\n\n**Narrator:** ${paragraph(topic, random)}`
  })
  return `# ${capital(topic)} - a script\n\n${lines.join('\n\n')}\n\n*Fade out.*\n`
}

function poem(topic: string, random: SeededRandom): string {
  const lines = [
    `A morning opens over ${topic},`,
    'the light is patient, and the hours are wide;',
    'what we had lost in hurry and in panic',
    'comes back like water with the turning tide.',
    `We say its name - ${topic} - and then we listen,`,
    'for every silence has a thing to tell;',
    'the roofs, the grass, the quiet wires glisten,',
    'and somewhere, far away, there rings a bell.',
  ]
  const verses = [lines.slice(0, 4), lines.slice(4)].map((verse) => verse.join('\n'))
  return `# ${capital(topic)}\n\n${shuffled(verses, random).join('\n\n')}\n`
}
