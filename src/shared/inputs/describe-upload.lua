--[[
  Adds to an upload what its sender said of it.

  Input:   KEYS[1] hash: the upload
           ARGV[1] JSON
  Output:  the fields of the upload; none when it is not ready
]]
if redis.call('HGET', KEYS[1], 'state') ~= 'ready' then
  return {}
end
redis.call('HSET', KEYS[1], 'about', ARGV[1])
return redis.call('HGETALL', KEYS[1])
