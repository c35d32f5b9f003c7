--[[
  Creates, changes or removes an endpoint, and counts it by the types of events that it hears of. Commits read the counts to
  decide whether an event is owed to anybody, so both change together.

  Input:   KEYS[1] hash: the endpoints of the tenant, id -> JSON
           KEYS[2] hash: type of event -> number of endpoints
           ARGV[1] its id, ARGV[2] its JSON as it was read, '' for a new one, ARGV[3] its JSON afterwards, '' removes it,
           ARGV[4] most endpoints, ARGV[5] types that it heard of, ARGV[6] types that it hears of now, each followed by a space
  Output:  'written', also when the same was written before; 'changed': it is not as it was read; 'full': there are too many
]]
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now == ARGV[3] then
  return 'written'
end
if now ~= ARGV[2] then
  return 'changed'
end
if now == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  return 'full'
end
for type in string.gmatch(ARGV[5], '%S+') do
  if redis.call('HINCRBY', KEYS[2], type, -1) <= 0 then
    redis.call('HDEL', KEYS[2], type)
  end
end
for type in string.gmatch(ARGV[6], '%S+') do
  redis.call('HINCRBY', KEYS[2], type, 1)
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 'written'
