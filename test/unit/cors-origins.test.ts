import { expect, test } from 'vitest'
import { originProblem, originsProblem, splitOrigins } from '../../src/shared/tenants/rules/cors-origins.ts'

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
  ['*', 'List each origin'],
  ['https://*.example.com', 'List each origin'],
  ['null', 'Write scheme and host'],
  ['app.example.com', 'Write scheme and host'],
  ['file:///srv/page.html', 'Write scheme and host'],
  ['https://', 'Write scheme and host'],
  ['https://app.example.com/', 'Write https://app.example.com'],
  ['https://app.example.com/path?x#y', 'Write https://app.example.com'],
  ['https://app.example.com:443', 'Write https://app.example.com'],
  ['HTTPS://App.Example.com', 'Write https://app.example.com'],
  ['https://bücher.example', 'Write https://xn--bcher-kva.example'],
  ['https://user@app.example.com', 'Write'],
  ['https://app.example.com:99999', 'is not a valid host'],
  ['Capacitor://localhost/', 'Write capacitor://localhost'],
])('%s is none, and what to write is said', (text, words) => expect(originProblem(text)).toContain(words))

test('a list of origins is limited in length', () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => `https://a${at}.example`)
  expect(originsProblem(many(50))).toBeNull()
  expect(originsProblem(many(51))).toContain('The limit is 50')
  expect(splitOrigins(' https://a.example,,https://b.example ,https://a.example')).toEqual([
    'https://a.example',
    'https://b.example',
  ])
})
