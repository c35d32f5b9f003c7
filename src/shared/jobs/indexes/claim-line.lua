--[[
  Chooses jobs for a worker: takes the first of the line, and leases them. A job that its worker does not begin is due again
  when the lease ends, and the sweep puts it back in line. No due time is put off: the end of `start_within` may be earlier.

  Input:   KEYS[1] the line (sorted set), KEYS[2] the number of doorbells that have claimed (string), KEYS[3] the due index
           (sorted set, score ms), ARGV[1] number of jobs at most, ARGV[2] lease ms, ARGV[3] `1` for the first claim of a
           doorbell
  Output:  { jobs left in the line, job, ... }
]]
local lease = string.format('%.0f', clock_ms() + tonumber(ARGV[2]))
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
if ARGV[3] == '1' then
  redis.call('INCR', KEYS[2])
end
local reply, due = { redis.call('ZCARD', KEYS[1]) }, {}
for at = 1, #popped, 2 do
  reply[#reply + 1] = popped[at]
  due[#due + 1] = lease
  due[#due + 1] = 'job:' .. popped[at]
end
if #due > 0 then
  redis.call('ZADD', KEYS[3], 'XX', 'LT', unpack(due))
end
return reply
