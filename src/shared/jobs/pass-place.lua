--[[
  Passes the place of an ended job, by which its files are named, on to a retry of it: once, to the first that asks.

  Input:   KEYS[1] the job's hash, ARGV[1] `1` to pass it on, `0` to take that back
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
