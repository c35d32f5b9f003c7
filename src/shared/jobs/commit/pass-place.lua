--[[
  Passes the place of a final job, which is part of the names of its files, on to its first retry.

  Input:   KEYS[1] the job's hash, ARGV[1] `1` to pass it on, `0` to undo that
  Output:  1 when this call passed it on
]]
local passes = ARGV[1] == '1'
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if passes then
  return redis.call('HSETNX', KEYS[1], 'place_passed', 'true')
end
redis.call('HDEL', KEYS[1], 'place_passed')
return 0
