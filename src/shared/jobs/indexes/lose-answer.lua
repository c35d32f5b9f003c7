--[[
  Records that the answer to a create was lost.

  Input:   KEYS[1] the hash of a request (claim-answer.lua), ARGV[1] job, ARGV[2] ms for which it is remembered
  Output:  1 when the job can be claimed from now on, 0 when it is not noted, or not accepted
]]
local process = redis.call('HGET', KEYS[1], ARGV[1])
if not process then
  return 0
end
if string.sub(process, 1, 1) == '?' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], '')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
