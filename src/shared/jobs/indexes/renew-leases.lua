--[[
  Renews the leases of jobs that a worker prepares or holds until there is a token, or ends them: 0 ms.

  Input:   KEYS[1] places of jobs (hash), ARGV[1] lease ms, ARGV[2] name of the lease, ARGV[3..] jobs
  Output:  1
]]
local til = string.format('%.0f', clock_ms() + tonumber(ARGV[1]))
for i = 3, #ARGV do
  local place = redis.call('HGET', KEYS[1], ARGV[i])
  local tag, lease = string.match(place or '', '^(%S+) (%S+) %d+$')
  if lease == ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[i], tag .. ' ' .. lease .. ' ' .. til)
  end
end
return 1
