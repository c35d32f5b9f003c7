import { type Colour, colour } from './colour.ts'
import { hashOf } from '../seeded-random.ts'

/** The scene, hour and colours that a prompt names. */

const SCENES = [
  'mountain',
  'sea',
  'forest',
  'desert',
  'city',
  'meadow',
  'space',
  'still life',
  'portrait',
  'animal',
  'abstract',
] as const
export type Scene = (typeof SCENES)[number]

export type Hour = 'dawn' | 'day' | 'sunset' | 'night' | 'neon' | 'storm' | 'winter' | 'autumn'

export const ANIMALS = ['cat', 'fox', 'bird', 'whale', 'rabbit', 'owl', 'bear'] as const
export type Animal = (typeof ANIMALS)[number]

export interface Wish {
  scene: Scene
  /** null: any. */
  hour: Hour | null
  colour: Colour | null
  animal: Animal
  has: (word: RegExp) => boolean
}

const SCENE_WORDS: [Scene, RegExp][] = [
  [
    'space',
    /\b(space|planets?|galaxy|galaxies|nebula|cosmos|cosmic|astronauts?|rockets?|saturn|mars|universe|alien)\b/,
  ],
  [
    'animal',
    /\b(cats?|kittens?|dogs?|pupp(y|ies)|wol(f|ves)|fox(es)?|birds?|parrots?|eagles?|whales?|fish|dolphins?|sharks?|rabbits?|bunn(y|ies)|hares?|owls?|bears?|pandas?|animals?|tigers?|lions?)\b/,
  ],
  [
    'city',
    /\b(city|cities|skyline|streets?|skyscrapers?|town|buildings?|cyberpunk|metropolis|tokyo|new york|paris|london|downtown|office)\b/,
  ],
  ['sea', /\b(sea|ocean|beach|coast|waves?|boats?|ships?|sail\w*|lighthouse|harbou?r|surf\w*|underwater)\b/],
  ['mountain', /\b(mountains?|alps|alpine|peaks?|volcano|hik\w+|cliffs?|valley|glacier|cabin)\b/],
  ['sea', /\b(lakes?|rivers?|islands?|water)\b/],
  ['desert', /\b(deserts?|dunes?|sahara|cactus|cacti|canyon|camels?|pyramids?|oasis)\b/],
  ['forest', /\b(forests?|woods?|trees?|jungle|pines?|woodland|rainforest|path)\b/],
  [
    'meadow',
    /\b(flowers?|meadow|gardens?|roses?|tulips?|daisy|daisies|sunflowers?|fields?|spring|lavender|bees?|butterfl\w+|poppies|grass|farm)\b/,
  ],
  [
    'still life',
    /\b(apples?|oranges?|pears?|lemons?|peach(es)?|fruits?|still life|cups?|coffee|tea|bottles?|vase|bowls?|food|cakes?|products?|perfume)\b/,
  ],
  [
    'portrait',
    /\b(portraits?|wom[ae]n|m[ae]n|girls?|boys?|person|people|faces?|child(ren)?|headshot|selfie|queen|king|warrior|samurai|dancer)\b/,
  ],
  ['mountain', /\bsnow\w*/],
  ['abstract', /\b(abstract|pattern|geometric|bauhaus|minimal\w*|logo|icon|gradient|shapes?)\b/],
]

const HOUR_WORDS: [Hour, RegExp][] = [
  ['neon', /\b(neon|cyberpunk|synthwave|vaporwave|retrowave)\b/],
  ['night', /\b(night|moon\w*|stars?|starry|midnight|aurora|dark)\b/],
  ['sunset', /\b(sunset|dusk|evening|golden|twilight)\b/],
  ['dawn', /\b(dawn|sunrise|morning|mist\w*|fog\w*)\b/],
  ['storm', /\b(storm\w*|rain\w*|thunder|cloudy|grey|gray|gloomy)\b/],
  ['winter', /\b(winter|snow\w*|ice|icy|frozen|christmas|arctic)\b/],
  ['autumn', /\b(autumn|fall|october|harvest)\b/],
  ['day', /\b(day|noon|summer|sunny|bright)\b/],
]

const COLOURS: [RegExp, Colour][] = [
  [/\b(red|crimson|scarlet|ruby|poppies|poppy)\b/, colour(0.58, 0.22, 27)],
  [/\b(orange|amber)\b/, colour(0.72, 0.18, 55)],
  [/\b(yellow|gold|sunflowers?|daffodils?)\b/, colour(0.86, 0.17, 92)],
  [/\b(green|emerald|lime)\b/, colour(0.66, 0.17, 148)],
  [/\b(teal|turquoise|cyan|aqua)\b/, colour(0.74, 0.12, 200)],
  [/\b(blue|azure|navy|sapphire)\b/, colour(0.58, 0.18, 255)],
  [/\b(purple|violet|lavender|indigo)\b/, colour(0.6, 0.18, 300)],
  [/\b(pink|magenta|roses?|tulips?)\b/, colour(0.72, 0.18, 355)],
  [/\b(white|silver)\b/, colour(0.95, 0.01, 90)],
  [/\b(black)\b/, colour(0.25, 0.01, 270)],
]

const ANIMAL_WORDS: [Animal, RegExp][] = [
  ['cat', /\b(cats?|kittens?|tigers?|lions?)\b/],
  ['fox', /\b(fox(es)?|dogs?|pupp(y|ies)|wol(f|ves))\b/],
  ['bird', /\b(birds?|parrots?|eagles?)\b/],
  ['whale', /\b(whales?|fish|dolphins?|sharks?)\b/],
  ['rabbit', /\b(rabbits?|bunn(y|ies)|hares?)\b/],
  ['owl', /\bowls?\b/],
  ['bear', /\b(bears?|pandas?)\b/],
]

const ANY_SCENE = ['mountain', 'sea', 'forest', 'desert', 'meadow', 'abstract'] as const

/** The same words give the same kind of picture; the seed varies it. */
export function readPrompt(prompt: string): Wish {
  const words = prompt.slice(0, 2000).toLowerCase()
  const first = <T>(table: readonly [T, RegExp][]): T | null => table.find(([, word]) => word.test(words))?.[0] ?? null
  const hash = hashOf(words)
  return {
    scene: first(SCENE_WORDS) ?? ANY_SCENE[hash % ANY_SCENE.length] ?? 'abstract',
    hour: first(HOUR_WORDS),
    colour: COLOURS.find(([word]) => word.test(words))?.[1] ?? null,
    animal: first(ANIMAL_WORDS) ?? ANIMALS[hash % ANIMALS.length] ?? 'cat',
    has: (word) => word.test(words),
  }
}
