--[[
  Takes due notifications of a destination under a lease: each is due again when its lease ends, unless a result is recorded.

  Input:   KEYS[1] what waits for the destination, KEYS[2] destinations in order (sorted sets, score ms), KEYS[3] the destination
           (hash), ARGV[1] name of the destination, ARGV[2] limit, ARGV[3] lease, ms
  Output:  { now ms, 1 when further ones are due, id, ... }
]]
local now = clock_ms()
local limit, lease = tonumber(ARGV[2]), now + tonumber(ARGV[3])
if tonumber(redis.call('HGET', KEYS[3], 'paused_until') or '0') > now then
  rank_destination(KEYS[2], KEYS[1], KEYS[3], ARGV[1])
  return { whole(now), '0' }
end
local taken = redis.call('ZRANGE', KEYS[1], '-inf', whole(now), 'BYSCORE', 'LIMIT', '0', whole(limit + 1))
local more = #taken > limit
if more then
  table.remove(taken)
end
for _, id in ipairs(taken) do
  redis.call('ZADD', KEYS[1], 'XX', whole(lease), id)
end
if more then
  -- The taker takes the rest when it has room: an attempt that ends puts the destination in order again.
  redis.call('ZADD', KEYS[2], 'XX', whole(lease), ARGV[1])
else
  rank_destination(KEYS[2], KEYS[1], KEYS[3], ARGV[1])
end
table.insert(taken, 1, more and '1' or '0')
table.insert(taken, 1, whole(now))
return taken
