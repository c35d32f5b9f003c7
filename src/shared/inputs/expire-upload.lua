--[[
  Ends the own retention of an upload: it goes with the last job that uses it, and is no longer in the list of its tenant.

  Input:   KEYS[1] hash: the upload, KEYS[2] sorted set: uploads by the time of the next look, ms,
           KEYS[3] sorted set: `<tenant>/<id>` of the uploads of clients
           ARGV[1] its id
]]
local tenant = redis.call('HGET', KEYS[1], 'tenant')
if not tenant then
  return 0
end
local now = string.format('%.0f', clock_ms())
redis.call('HSET', KEYS[1], 'expires_at', now)
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREM', KEYS[3], tenant .. '/' .. ARGV[1])
return 1
