--[[
  The only writer of what becomes of a notification: an attempt was made, it is held, resumed, redelivered or given up. Of two
  changes of the same revision the first one is written.

  Input:   KEYS[1] the notification (hash), KEYS[2] the tenant's notifications in the state before, KEYS[3] and after (sorted sets,
           scores 0), KEYS[4] what waits for the destination, KEYS[5] destinations in order, KEYS[6] pending notifications by
           event, KEYS[7] the tenant's notifications that are over, KEYS[8] held, KEYS[9] by removal (sorted sets, score ms),
           KEYS[10] the destination, KEYS[11] counters, KEYS[12] the job, KEYS[13] its outbox (hashes)
           ARGV[1] id, ARGV[2] revision, ARGV[3] state before, ARGV[4] state after, ARGV[5] ms until it is sent, where it is
           pending, ARGV[6] tries, ARGV[7] attempts, JSON, ARGV[8] what the attempt shows of the destination: well, failing, or ''
           without one, ARGV[9] ms for which the destination is paused, '' for not, ARGV[10] name of the destination, ARGV[11] time of
           the event, ms, ARGV[12] the row of the outbox, '' for none, ARGV[13] ms for which it is kept, ARGV[14] the number of
           notifications that are kept, ARGV[15..] counters that are incremented
  Output:  1; 0: it has another revision
]]
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[2] then
  return 0
end
local id, before, after, now = ARGV[1], ARGV[3], ARGV[4], clock_ms()
local keep = tonumber(ARGV[13])
redis.call('HSET', KEYS[1], 'state', after, 'tries', ARGV[6], 'attempts', ARGV[7])
redis.call('HINCRBY', KEYS[1], 'rev', 1)

if before ~= after then
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZADD', KEYS[3], '0', id)
  if before == 'held' then
    redis.call('ZREM', KEYS[8], id)
    redis.call('HINCRBY', KEYS[11], 'held', -1)
  elseif before ~= 'pending' then
    redis.call('ZREM', KEYS[7], id)
  end
end

if after == 'pending' then
  end_old_series(KEYS[10], now)
  local at = whole(now + tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 'next_at', at)
  redis.call('ZADD', KEYS[4], at, id)
  redis.call('ZADD', KEYS[6], ARGV[11], id)
  redis.call('ZREM', KEYS[9], id)
  if ARGV[12] ~= '' and redis.call('EXISTS', KEYS[12]) == 1 then
    redis.call('HSET', KEYS[13], 'carry:' .. id, ARGV[12])
  end
else
  redis.call('HDEL', KEYS[1], 'next_at')
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZREM', KEYS[6], id)
  if before ~= after then
    keep_notification(after == 'held' and KEYS[8] or KEYS[7], KEYS[9], id, now, keep, tonumber(ARGV[14]))
    if after == 'held' then
      redis.call('HINCRBY', KEYS[11], 'held', 1)
    else
      redis.call('HDEL', KEYS[13], 'carry:' .. id)
    end
  end
end

for i = 15, #ARGV do
  redis.call('HINCRBY', KEYS[11], ARGV[i], 1)
end
if ARGV[8] == 'well' then
  redis.call('HDEL', KEYS[10], 'failures', 'failing_since', 'failed_at', 'paused_until')
  redis.call('HSET', KEYS[10], 'succeeded_at', whole(now))
elseif ARGV[8] == 'failing' then
  redis.call('HINCRBY', KEYS[10], 'failures', 1)
  redis.call('HSETNX', KEYS[10], 'failing_since', whole(now))
  redis.call('HSET', KEYS[10], 'failed_at', whole(now))
end
if ARGV[9] ~= '' then
  redis.call('HSET', KEYS[10], 'paused_until', whole(now + tonumber(ARGV[9])))
end
redis.call('PEXPIRE', KEYS[10], whole(keep))
rank_destination(KEYS[5], KEYS[4], KEYS[10], ARGV[10])
return 1
