--[[
  Closes a circuit breaker that a refusal tripped, because the cause was corrected: creation resumes with the ramp. A longer
  pause for another reason stays.

  Input:   KEYS[1] the account's hash, ARGV the reasons that are over
  Output:  1 when the breaker was open for one of them, else 0
]]
local now = clock_ms()
local state = redis.call('HMGET', KEYS[1], 'half_open', 'pause_reason', 'paused_until', 'paused_total')
local is_over = false
for _, reason in ipairs(ARGV) do
  is_over = is_over or state[1] == reason
end
if not is_over then
  return 0
end
-- The pause clock counted the whole pause when it was set.
local ahead = tonumber(state[3] or '0') - now
if state[2] == state[1] and ahead > 0 then
  redis.call('HSET', KEYS[1], 'paused_until', string.format('%.0f', now),
    'paused_total', string.format('%.0f', tonumber(state[4] or '0') - ahead))
end
close_trip(KEYS[1], now)
redis.call('HSET', KEYS[1], 'ramp_from', string.format('%.0f', now))
redis.call('HDEL', KEYS[1], 'faults', 'trips', 'probe', 'probe_lease', 'probe_holder')
return 1
