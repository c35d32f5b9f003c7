/** The one request that each peer sends to Replicate; the run calls `webhook` when it is over. */
export async function create(input, webhook) {
  const response = await fetch(`${process.env.SIM_URL}/v1/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer any' },
    body: JSON.stringify({
      version: process.env.SIM_VERSION,
      input: { text: input.prompt },
      webhook,
      webhook_events_filter: ['completed'],
    }),
  })
  if (response.status !== 201) throw new Error(`upstream ${response.status} ${await response.text()}`)
  return response.json()
}
