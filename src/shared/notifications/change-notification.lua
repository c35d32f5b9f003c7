--[[
  The only writer of what becomes of a notification: an attempt was made, it is held, resumed, redelivered or given up. Of two
  changes of the same revision the first one is written.

  Input:   KEYS[1] the notification (hash), KEYS[2] the tenant's notifications in the state before, KEYS[3] and after (sorted sets,
           scores 0), KEYS[4] what waits for the destination, KEYS[5] destinations in order, KEYS[6] pending notifications by
           event, KEYS[7] the tenant's notifications that are over, KEYS[8] held, KEYS[9] by removal (sorted sets, score ms),
           KEYS[10] the destination, KEYS[11] counters, KEYS[12] the job, KEYS[13] its outbox (hashes)
           ARGV[1] the change, JSON: id; rev, before: its revision and state; after: its next state; next: ms until it is sent, where
           it is pending; tries; attempts: JSON; destination: its name; shows: what the attempt shows of the destination, well or
           failing; pause: ms for which the destination is paused; event: time of the event, ms; row: the row of the outbox;
           keep: ms for which it is kept; most: the number of notifications that are kept; counters: those that are
           incremented. Without what does not apply.
  Output:  1; 0: it has another revision
]]
local change = cjson.decode(ARGV[1])
if redis.call('HGET', KEYS[1], 'rev') ~= whole(change.rev) then
  return 0
end
local id, before, after, now = change.id, change.before, change.after, clock_ms()
redis.call('HSET', KEYS[1], 'state', after, 'tries', whole(change.tries), 'attempts', change.attempts)
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
  local at = whole(now + change.next)
  redis.call('HSET', KEYS[1], 'next_at', at)
  redis.call('ZADD', KEYS[4], at, id)
  redis.call('ZADD', KEYS[6], whole(change.event), id)
  redis.call('ZREM', KEYS[9], id)
  if change.row and redis.call('EXISTS', KEYS[12]) == 1 then
    redis.call('HSET', KEYS[13], 'carry:' .. id, change.row)
  end
else
  redis.call('HDEL', KEYS[1], 'next_at')
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZREM', KEYS[6], id)
  if before ~= after then
    keep_notification(after == 'held' and KEYS[8] or KEYS[7], KEYS[9], id, now, change.keep, change.most)
    if after == 'held' then
      redis.call('HINCRBY', KEYS[11], 'held', 1)
    else
      redis.call('HDEL', KEYS[13], 'carry:' .. id)
    end
  end
end

for _, counter in ipairs(change.counters) do
  redis.call('HINCRBY', KEYS[11], counter, 1)
end
if change.shows == 'well' then
  redis.call('HDEL', KEYS[10], 'failures', 'failing_since', 'failed_at', 'paused_until')
  redis.call('HSET', KEYS[10], 'succeeded_at', whole(now))
elseif change.shows == 'failing' then
  redis.call('HINCRBY', KEYS[10], 'failures', 1)
  redis.call('HSETNX', KEYS[10], 'failing_since', whole(now))
  redis.call('HSET', KEYS[10], 'failed_at', whole(now))
end
if change.pause then
  redis.call('HSET', KEYS[10], 'paused_until', whole(now + change.pause))
end
redis.call('PEXPIRE', KEYS[10], whole(change.keep))
rank_destination(KEYS[5], KEYS[4], KEYS[10], change.destination)
return 1
