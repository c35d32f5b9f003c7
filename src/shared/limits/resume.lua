--[[
  Ends a pause by hand, and adds its time to the clock of its scope.

  Input:   as hold.lua, without a JSON: ARGV[1] scope, ARGV[2] most entries of the log, ARGV[3..] fields of the entry
  Output:  1, or 0 when it was not paused
]]
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
local since = tonumber(redis.call('HGET', KEYS[2], 'since ' .. ARGV[1]) or clock_ms())
redis.call('HINCRBY', KEYS[2], ARGV[1], string.format('%.0f', math.max(0, clock_ms() - since)))
redis.call('HDEL', KEYS[2], 'since ' .. ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
return 1
