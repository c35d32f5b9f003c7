--[[
  Releases an upload from jobs. When no job is left and its own retention is over, it is marked: from then on no job can use
  it, and its bytes can be removed.

  Input:   KEYS[1] hash: the upload, KEYS[2] set: ids of jobs that use it, KEYS[3] sorted set: uploads by the time of the
           next look, ms
           ARGV[1] its id, ARGV[2] '1': ignores its own retention, ARGV[3..] ids of jobs
  Output:  1 when marked, else 0
]]
for at = 3, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[at])
end
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('SCARD', KEYS[2]) > 0 then
  return 0
end
local now = clock_ms()
local fields = redis.call('HMGET', KEYS[1], 'expires_at', 'state')
if ARGV[2] ~= '1' and fields[2] ~= 'removing' and tonumber(fields[1]) > now then
  return 0
end
redis.call('HSET', KEYS[1], 'state', 'removing')
redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1])
return 1
