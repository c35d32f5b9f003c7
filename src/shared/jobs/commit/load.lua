--[[
  Reads a job consistently.

  Input:   KEYS[1] job, KEYS[2] its outbox, KEYS[3] the account (hashes), KEYS[4..] documents of the job (strings)
  Output:  { now ms, pause clock ms, predictions completed without a webhook, job fields, outbox fields, documents }, the
           fields flat: field, value, ...
]]
local now = clock_ms()
local account = redis.call('HMGET', KEYS[3], 'paused_until', 'paused_total', 'half_open', 'silence')
return {
  string.format('%.0f', now),
  string.format('%.0f', pause_clock_of(account, now)),
  account[4] or '0',
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', KEYS[2]),
  redis.call('MGET', unpack(KEYS, 4)),
}
