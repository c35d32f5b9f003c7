--[[
  Owes an event to the receivers of a tenant, if one of its endpoints hears of this type, or a program follows its events.

  Input:   KEYS[1] the tenant's outbox (hash), KEYS[2] the due index (sorted set, score ms), KEYS[3] the tenant's endpoints by
           type (hash; its name is also that of the channel of programs that follow its events), ARGV[1] id, ARGV[2] the notice,
           JSON, ARGV[3] its type, ARGV[4] its member of the due index, ARGV[5] ms after which it is due
  Output:  1; 0: nobody hears of it
]]
if redis.call('HEXISTS', KEYS[3], ARGV[3]) == 0 and redis.call('PUBSUB', 'NUMSUB', KEYS[3])[2] == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', clock_ms() + tonumber(ARGV[5])), ARGV[4])
return 1
