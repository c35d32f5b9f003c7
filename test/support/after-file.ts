/**
 * What a test file leaves running ends after its last test. Test files of one worker share their modules, so a hook that a
 * module registers when it is loaded would run after the first file only: test/support/end-leftovers.ts has the one hook.
 */
const ends: (() => unknown)[] = []

/** Runs `end` after the present test file, what was registered last first. It must not matter if the test ended it itself. */
export function afterFile(end: () => unknown): void {
  ends.push(end)
}

export async function endLeftovers(): Promise<void> {
  for (let end = ends.pop(); end; end = ends.pop()) await end()
}
