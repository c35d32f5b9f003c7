--[[
  Claims the destinations that may be served, those that waited longest first, with a lease: a claimed one is due again when its
  lease ends, unless what waits for it changes.

  Input:   KEYS[1] destinations in order (sorted set, score ms), ARGV[1] limit, ARGV[2] lease, ms
  Output:  the names of the destinations
]]
local now = clock_ms()
local names = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', '0', ARGV[1])
local lease = string.format('%.0f', now + tonumber(ARGV[2]))
for _, name in ipairs(names) do
  redis.call('ZADD', KEYS[1], 'XX', lease, name)
end
return names
