#!/usr/bin/env node
// Every Node that this file meets must be able to read it, so the check comes before anything else is loaded.
const WANTED = 24
const { node } = process.versions
if (Number.parseInt(node, 10) < WANTED) {
  process.stderr.write(
    `genqueue needs Node ${WANTED} or newer; this is Node ${node} (${process.execPath}).\n` +
      `Install it, for example with "nvm install ${WANTED}", or for this project alone with "npm install node@${WANTED}".\n`,
  )
  process.exit(1)
}
await import('../lib/cli/main.js')
