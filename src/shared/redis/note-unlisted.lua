--[[
  Notes from when on the lists of accounts were not compared, where that is not noted yet, and returns the time of one account.

  Input:   KEYS[1] the generation's hash, ARGV[1] its id, ARGV[2] the account, ARGV[3] ms, ARGV[4..] accounts with a closed gate
  Output:  ms; nil when Redis holds another generation by now
]]
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return false
end
for at = 4, #ARGV do
  redis.call('HSETNX', KEYS[1], 'since:' .. ARGV[at], ARGV[3])
end
return redis.call('HGET', KEYS[1], 'since:' .. ARGV[2]) or ARGV[3]
