import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take long: begun last, one of them would run alone at the end. The first two mostly wait. */
const SLOW = [
  'chaos/scenarios',
  'integration/restart',
  'chaos/redis-scenarios',
  'model/protocol',
  'packages/packages',
  'chaos/chaos',
  'e2e/',
  'integration/upstream-trouble',
  'integration/unknown-outcomes',
  'integration/product-',
  'packages/',
  'integration/readme',
  's3/',
  'integration/',
]

/** A worker that meets a file of another project ends, with all that it has loaded: the rules, which need little, are last. */
const rank = ({ moduleId, project }: TestSpecification): number => {
  if (project.name === 'rules') return SLOW.length + 1
  const place = SLOW.findIndex((name) => moduleId.includes(`/test/${name}`))
  return place === -1 ? SLOW.length : place
}

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}
