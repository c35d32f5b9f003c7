/** The name and value of the session cookie for a key, got as a page of the service gets it. */
export async function sessionCookie(origin: string, key: string): Promise<{ name: string; value: string }> {
  const response = await fetch(`${origin}/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify({ key }),
  })
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(response.headers.get('set-cookie') ?? '') ?? []
  if (response.status !== 204 || value === '') throw new Error(`No session: ${response.status}`)
  return { name, value }
}
