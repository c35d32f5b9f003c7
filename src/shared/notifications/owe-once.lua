--[[
  Owes an event once, if somebody hears of it.

  Input:   KEYS[1] the outbox (hash), KEYS[2] the due index (sorted set, score ms), KEYS[3] the tenant's endpoints by type (hash; its
           name is also that of the channel of programs that follow its events),
           KEYS[4] the hash that notes that it was owed, which must exist,
           ARGV[1] field of the outbox, ARGV[2] the notice, JSON, ARGV[3] its type, ARGV[4] its member of the due index, ARGV[5] ms after
           which it is due, ARGV[6] the field of KEYS[4], ARGV[7] 1: a webhook of the job hears of it
  Output:  1; 0: nobody hears of it, or it was owed before
]]
if ARGV[7] ~= '1' and redis.call('HEXISTS', KEYS[3], ARGV[3]) == 0
  and redis.call('PUBSUB', 'NUMSUB', KEYS[3])[2] == 0 then
  return 0
end
if redis.call('EXISTS', KEYS[4]) == 0 or redis.call('HSETNX', KEYS[4], ARGV[6], '1') == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', math.floor(clock_us() / 1000) + tonumber(ARGV[5])), ARGV[4])
return 1
