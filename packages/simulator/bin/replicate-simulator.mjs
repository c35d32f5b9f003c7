#!/usr/bin/env node
import { onNode24 } from './on-node-24.mjs'

await onNode24('replicate-simulator', new URL('../lib/main.js', import.meta.url), '22.19')
