import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

import { VARIABLE_NAMES } from '../../src/shared/config.ts'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

const groupsOf = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, group = '']) => group)

const service = z.object({
  environment: z.record(z.string(), z.string()).default({}),
  env_file: z.string().optional(),
  cap_drop: z.array(z.string()),
  security_opt: z.array(z.string()),
  read_only: z.boolean(),
  healthcheck: z.object({}),
  command: z.array(z.string()).optional(),
})
const compose = z
  .object({ services: z.record(z.string(), service) })
  .parse(parse(read('docker-compose.yml'), { merge: true }))

describe('the image', () => {
  it('runs the same major version of Node as npm scripts do', () => {
    const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('tools/node-runtime/package.json')))
    const major = version.split('.')[0]
    const bases = [...read('Dockerfile').matchAll(/^FROM node:(\d+)/gm)].map(([, base]) => base)
    expect(new Set(bases)).toEqual(new Set([major]))
  })

  it('starts files that exist, without root', () => {
    expect(read('Dockerfile')).toMatch(/^USER node$/m)
    const commands = [
      /^CMD (\[.*\])$/m.exec(read('Dockerfile'))?.[1] ?? '',
      JSON.stringify(compose.services['simulator']?.command),
    ]
    const entries = commands.map((command) => {
      const [program, ...args] = z.array(z.string()).parse(JSON.parse(command))
      expect(program).toBe('node')
      return args.find((arg) => !arg.startsWith('--'))
    })
    expect(entries).toEqual(['src/main.ts', 'src/simulator/main.ts'])
    for (const entry of entries) expect(existsSync(join(root, entry ?? '')), entry).toBe(true)
  })

  it('takes what it copies from what the build may see', () => {
    const seen = groupsOf(read('.dockerignore'), /^!(\S+)$/gm)
    const copied = groupsOf(read('Dockerfile'), /^COPY (?!--from)(.+) \S+$/gm).flatMap((names) => names.split(' '))
    expect(copied).toContain('docs/openapi.yaml')
    for (const name of copied) {
      expect(existsSync(join(root, name)), name).toBe(true)
      expect(
        seen.some((one) => name === one || name.startsWith(`${one}/`)),
        name,
      ).toBe(true)
    }
  })
})

describe('the compose file', () => {
  it('hands on every variable that the service reads', () => {
    // In a container: no Redis of its own, no simulator inside, and the image's own address and folder.
    const notHere = ['HOST', 'PORT', 'DATA_DIR', 'REDIS_SERVER_BIN', 'SIMULATOR_PORT', 'HEALTH_PORT']
    for (const name of ['api', 'worker']) {
      const { environment = {}, env_file: file = '' } = compose.services[name] ?? {}
      for (const upstream of ['', '.replicate']) {
        const fromFile = read(file.replace(/\$\{.*\}/, upstream)).matchAll(/^(\w+)=/gm)
        const given = [...Object.keys(environment), ...[...fromFile].map(([, variable]) => variable)]
        const wanted = VARIABLE_NAMES.filter(
          (variable) => !notHere.includes(variable) && !variable.startsWith('SIMULATOR_'),
        )
        expect(given, `${name} ${upstream}`).toEqual(expect.arrayContaining(wanted))
      }
    }
    const simulator = Object.keys(compose.services['simulator']?.environment ?? {})
    const wanted = VARIABLE_NAMES.filter((variable) => /^SIMULATOR_(?!PORT)/.test(variable))
    expect(simulator).toEqual(expect.arrayContaining(wanted))
  })

  it('gives no container more rights than it needs', () => {
    for (const [name, { cap_drop, security_opt, read_only }] of Object.entries(compose.services)) {
      expect({ cap_drop, security_opt, read_only }, name).toEqual({
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        read_only: true,
      })
    }
  })

  it('keeps what Redis was told, and never evicts it', () => {
    const command = compose.services['redis']?.command?.join(' ')
    expect(command).toContain('--appendonly yes')
    expect(command).toContain('--maxmemory-policy noeviction')
  })
})
