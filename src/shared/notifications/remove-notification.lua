--[[
  Removes a notification that is over or held, unless it has changed.

  Input:   KEYS[1] the notification, KEYS[2] the tenant's notifications, KEYS[3] those in its state, KEYS[4] those of an endpoint or
           job, KEYS[5] those that are kept in its state, KEYS[6] by removal, KEYS[7] the outbox of the job, KEYS[8] counters
           ARGV[1] id, ARGV[2] revision, ARGV[3] state, ARGV[4..] members of KEYS[4]
  Output:  1; 0: it has another revision
]]
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[2] then
  return 0
end
local id = ARGV[1]
for _, key in ipairs({ KEYS[2], KEYS[3], KEYS[5], KEYS[6] }) do
  redis.call('ZREM', key, id)
end
for i = 4, #ARGV do
  redis.call('ZREM', KEYS[4], ARGV[i])
end
redis.call('HDEL', KEYS[7], 'carry:' .. id)
redis.call('DEL', KEYS[1])
if ARGV[3] == 'held' then
  redis.call('HINCRBY', KEYS[8], 'held', -1)
end
return 1
