--[[
  Records that the answer to a create was lost.

  Input:   KEYS[1] the hash of a request, ARGV[1] job, ARGV[2] ms for which it is remembered
  Output:  1 when the job can be claimed from now on, 0 when it is not noted
]]
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], '')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
