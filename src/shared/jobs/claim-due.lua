--[[
  Takes what is due and leases it: a claimed member is due again when the lease ends, unless a commit moves it.

  Input:   KEYS[1] the due index (sorted set, score ms), KEYS[2] when the sweep last ran (a string), ARGV[1] lease ms, ARGV[2] how many at most
  Output:  { now ms, member, ... }
]]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local members = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', '0', ARGV[2])
redis.call('SET', KEYS[2], string.format('%.0f', now))
local lease = string.format('%.0f', now + tonumber(ARGV[1]))
for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], 'XX', lease, member)
end
table.insert(members, 1, string.format('%.0f', now))
return members
