--[[
  Puts a job in line that no worker has under a lease, or leaves it at its place, and sets when it is due again. In one step, because
  a worker that takes it from then on sets the due time to the end of its lease.

  Input:   KEYS of the order (line-keys.ts), then the due index (sorted set, score ms), ARGV[1] the member of the line,
           ARGV[2] the job, ARGV[3] the member of the due index, ARGV[4] ms until it is due, ARGV[5] the
           longest lease, ms: a later end is from before the clock was set back
  Output:  1
]]
local at = order_keys(KEYS)
local now = clock_ms()
local due = now + tonumber(ARGV[4])
local place = redis.call('HGET', at.places, ARGV[2])
local lease, til = string.match(place or '', '^%S+ (%S+) (%d+)$')
if lease and lease ~= '-' and tonumber(til) > now and tonumber(til) <= now + tonumber(ARGV[5]) then
  due = math.min(due, tonumber(til))
else
  join_line(at, ARGV[1])
end
redis.call('ZADD', KEYS[13], 'XX', string.format('%.0f', due), ARGV[3])
return 1
