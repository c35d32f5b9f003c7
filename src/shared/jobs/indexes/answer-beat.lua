--[[
  Beat of a process that answers creates.

  Input:   KEYS[1] the sorted set of answering processes, ARGV[1] process, ARGV[2] ms after which others are forgotten
  Output:  1
]]
local now = clock_ms()
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[2])))
return 1
