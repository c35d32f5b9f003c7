--[[
  Takes the probe lease of a half-open circuit breaker: one process at a time probes whether upstream has recovered.

  Input:   KEYS[1] the account's hash, ARGV[1] lease ms
  Output:  1 when the caller may probe, else 0
]]
local now = clock_ms()
local account = redis.call('HMGET', KEYS[1], 'half_open', 'probe', 'paused_until', 'probe_lease')
if not account[1] or account[2] or tonumber(account[3] or '0') > now or tonumber(account[4] or '0') > now then
  return 0
end
redis.call('HSET', KEYS[1], 'probe_lease', string.format('%.0f', now + tonumber(ARGV[1])))
redis.call('HDEL', KEYS[1], 'probe_holder')
return 1
