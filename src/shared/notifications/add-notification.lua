--[[
  Adds a notification, once. A pending one is due at once; one that carries its job adds a row to the job's outbox, while
  the job has a record.

  Input:   KEYS[1] the notification (hash), KEYS[2] the tenant's notifications, KEYS[3] those in its state, KEYS[4] those of an
           endpoint or job (sorted sets, scores 0), KEYS[5] what waits for the destination, KEYS[6] destinations in order
           (sorted sets, score ms), KEYS[7] the destination (hash), KEYS[8] pending notifications by event, KEYS[9] the
           tenant's held ones, KEYS[10] by removal (sorted sets, score ms), KEYS[11] counters, KEYS[12] the job, KEYS[13] its
           outbox (hashes)
           ARGV[1] id, ARGV[2] its frozen fields, JSON, ARGV[3] pending or held, ARGV[4] time of the event, ms, ARGV[5] the row of
           the outbox, '' for none, ARGV[6] name of the destination, ARGV[7] its tenant, ARGV[8] ms for which it is kept,
           ARGV[9] the number of held ones that are kept, ARGV[10..] members of KEYS[4]
  Output:  its state
]]
local known = redis.call('HGET', KEYS[1], 'state')
if known then
  return known
end
local id, state, now = ARGV[1], ARGV[3], clock_ms()
redis.call('HSET', KEYS[1], 'doc', ARGV[2], 'state', state, 'rev', '1', 'tries', '0', 'attempts', '[]')
redis.call('ZADD', KEYS[2], '0', id)
redis.call('ZADD', KEYS[3], '0', id)
for i = 10, #ARGV do
  redis.call('ZADD', KEYS[4], '0', ARGV[i])
end
if ARGV[5] ~= '' and redis.call('EXISTS', KEYS[12]) == 1 then
  redis.call('HSET', KEYS[13], 'carry:' .. id, ARGV[5])
end
redis.call('HSET', KEYS[7], 'tenant', ARGV[7])
redis.call('PEXPIRE', KEYS[7], ARGV[8])
if state == 'pending' then
  end_old_series(KEYS[7], now)
  redis.call('HSET', KEYS[1], 'next_at', whole(now))
  redis.call('ZADD', KEYS[5], whole(now), id)
  redis.call('ZADD', KEYS[8], ARGV[4], id)
  rank_destination(KEYS[6], KEYS[5], KEYS[7], ARGV[6])
else
  keep_notification(KEYS[9], KEYS[10], id, now, tonumber(ARGV[8]), tonumber(ARGV[9]))
  redis.call('HINCRBY', KEYS[11], 'held', 1)
end
return state
