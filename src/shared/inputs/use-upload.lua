--[[
  Assigns an upload to jobs: it is kept as long as they use it. Their records can be written a moment later.

  Input:   KEYS[1] hash: the upload, KEYS[2] set: ids of jobs that use it, KEYS[3] sorted set: uploads by the time of the
           next look, ms
           ARGV[1] its id, ARGV[2] the tenant, ARGV[3] ms that it is kept at least, ARGV[4..] ids of jobs
  Output:  the fields of the upload; none when the tenant has no such upload that is ready
]]
local fields = redis.call('HMGET', KEYS[1], 'tenant', 'state')
if fields[1] ~= ARGV[2] or fields[2] ~= 'ready' then
  return {}
end
redis.call('SADD', KEYS[2], unpack(ARGV, 4))
local stays = clock_ms() + tonumber(ARGV[3])
redis.call('ZADD', KEYS[3], 'XX', 'GT', string.format('%.0f', stays), ARGV[1])
return redis.call('HGETALL', KEYS[1])
