--[[
  Reads a job consistently.

  Input:   KEYS[1] job, KEYS[2] its outbox, KEYS[3] clocks of pauses by hand, KEYS[4..] ARGV[1] accounts (hashes), then the documents
           of the job (strings)
  Output:  { now ms, pause clock of each account ms, of each account the predictions completed without a webhook, job fields,
           outbox fields, clocks of pauses by hand, documents }, the fields flat: field, value, ...
]]
local now = clock_ms()
local last = 3 + tonumber(ARGV[1])
local clocks, silences = {}, {}
for at = 4, last do
  local account = redis.call('HMGET', KEYS[at], 'paused_until', 'paused_total', 'half_open', 'silence')
  clocks[#clocks + 1] = string.format('%.0f', pause_clock_of(account, now))
  silences[#silences + 1] = account[4] or '0'
end
return {
  string.format('%.0f', now),
  clocks,
  silences,
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('MGET', unpack(KEYS, last + 1)),
}
