--[[
  Replaces the budgets of a scope, unless they have changed since they were read.

  KEYS[1]  the hash of budgets
  ARGV[1]  scope, ARGV[2] its budgets as they were read ('': none), ARGV[3] those from now on ('': none)
  ARGV[4]  the id of the budget that is added, changed or removed, ARGV[5] 1: it exists from now on

  Output: 1; 0: they have changed
]]
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[5] == '1' then
  redis.call('HSET', KEYS[1], ARGV[4], ARGV[1])
else
  redis.call('HDEL', KEYS[1], ARGV[4])
end
return 1
