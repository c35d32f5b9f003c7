#!/usr/bin/env node
import { onNode24 } from './on-node-24.mjs'

await onNode24('genqueue', new URL('../lib/cli/main.js', import.meta.url))
