--[[
  Claims due members with a lease: a claimed member is due again when its lease ends, unless a commit moves it. When the
  clock of Redis was set back since the last sweep, times in the future are first moved back by the same amount: due times,
  the pause, leases.

  Input:   KEYS[1] the due index (sorted set, score ms), KEYS[2] time of the last sweep (a string), KEYS[3..] the accounts'
           hashes, ARGV[1] lease ms, ARGV[2] limit of members
  Output:  { now ms, member, ... }
]]
local now = clock_ms()
local function whole(number)
  return string.format('%.0f', number)
end
-- ms; smaller corrections of the clock are ignored.
local TOLERATED = 2000
local back = tonumber(redis.call('GET', KEYS[2]) or '0') - now
if back > TOLERATED then
  local ahead = redis.call('ZRANGE', KEYS[1], whole(now), '+inf', 'BYSCORE', 'WITHSCORES')
  for i = 1, #ahead, 2 do
    redis.call('ZADD', KEYS[1], whole(tonumber(ahead[i + 1]) - back), ahead[i])
  end
  for at = 3, #KEYS do
    for _, field in ipairs({ 'paused_until', 'probe_lease', 'ramp_from' }) do
      local moment = redis.call('HGET', KEYS[at], field)
      if moment then
        redis.call('HSET', KEYS[at], field, whole(tonumber(moment) - back))
      end
    end
  end
end
local members = redis.call('ZRANGE', KEYS[1], '-inf', whole(now), 'BYSCORE', 'LIMIT', '0', ARGV[2])
redis.call('SET', KEYS[2], whole(now))
local lease = whole(now + tonumber(ARGV[1]))
for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], 'XX', lease, member)
end
table.insert(members, 1, whole(now))
return members
