--[[
  Creates or completes the record of an upload.

  Input:   KEYS[1] hash: the upload, KEYS[2] sorted set: uploads by the time of the next look, ms
           ARGV[1] its id, ARGV[2] ms of its own retention while no job uses it, ARGV[3] the state that it must be in, '' for none;
           ARGV[4] ms that it is kept at least, ARGV[5..] fields and values
  Output:  the fields of the upload; none when it was in another state
]]
if (redis.call('HGET', KEYS[1], 'state') or '') ~= ARGV[3] then
  return {}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'created_at', string.format('%.0f', now))
end
redis.call('HSET', KEYS[1], 'expires_at', string.format('%.0f', now + tonumber(ARGV[2])), unpack(ARGV, 5))
local stays = math.max(tonumber(ARGV[2]), tonumber(ARGV[4]))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + stays), ARGV[1])
return redis.call('HGETALL', KEYS[1])
