import { expect, test } from 'vitest'
import { originProblem, originsProblem, splitOrigins } from '../../src/shared/cors-origins.ts'

test.each([
  'https://app.example.com',
  'http://localhost:5173',
  'http://127.0.0.1:8080',
  'http://[::1]:3000',
  'https://xn--bcher-kva.example',
  'capacitor://localhost',
  'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
])('%s is an origin as a browser sends it', (text) => expect(originProblem(text)).toBeNull())

test.each([
  ['*', 'write each origin'],
  ['https://*.example.com', 'write each origin'],
  ['null', 'write the scheme and the host'],
  ['app.example.com', 'write the scheme and the host'],
  ['file:///srv/page.html', 'write the scheme and the host'],
  ['https://', 'write the scheme and the host'],
  ['https://app.example.com/', 'write https://app.example.com,'],
  ['https://app.example.com/path?x#y', 'write https://app.example.com,'],
  ['https://app.example.com:443', 'write https://app.example.com,'],
  ['HTTPS://App.Example.com', 'write https://app.example.com,'],
  ['https://bücher.example', 'write https://xn--bcher-kva.example,'],
  ['https://user@app.example.com', 'write'],
  ['https://app.example.com:99999', 'is not a host'],
  ['Capacitor://localhost/', 'write capacitor://localhost,'],
])('%s is none, and what to write is said', (text, words) => expect(originProblem(text)).toContain(words))

test('a list is as long as somebody can read', () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => `https://a${at}.example`)
  expect(originsProblem(many(50))).toBeNull()
  expect(originsProblem(many(51))).toContain('at most 50')
  expect(splitOrigins(' https://a.example,,https://b.example ,https://a.example')).toEqual([
    'https://a.example',
    'https://b.example',
  ])
})
