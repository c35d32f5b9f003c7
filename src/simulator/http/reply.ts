import type { Readable } from 'node:stream'

/** A handler's response. Only the server writes it to a socket. */
export type Reply =
  | { kind: 'json'; status: number; body: unknown; headers: Record<string, string>; problem: boolean }
  | { kind: 'bytes'; status: number; body: Buffer | string | Readable; headers: Record<string, string> }
  | { kind: 'empty'; status: number; headers: Record<string, string> }
  /** Resets the connection, before or during the response. */
  | { kind: 'cut'; after?: { status: number; headers: Record<string, string>; part: Buffer } }

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Reply => ({
  kind: 'json',
  status,
  body,
  headers,
  problem: false,
})

export const empty = (status: number, headers: Record<string, string> = {}): Reply => ({
  kind: 'empty',
  status,
  headers,
})

export const cut: Reply = { kind: 'cut' }

export const html = (status: number, title: string): Reply => ({
  kind: 'bytes',
  status,
  body: `<!DOCTYPE html>\n<html><head><title>${title}</title></head><body><center><h1>${title}</h1></center><hr><center>cloudflare</center></body></html>\n`,
  headers: { 'content-type': 'text/html; charset=UTF-8', server: 'cloudflare' },
})

export const text = (status: number, body: string, contentType: string): Reply => ({
  kind: 'bytes',
  status,
  body,
  headers: { 'content-type': contentType },
})
