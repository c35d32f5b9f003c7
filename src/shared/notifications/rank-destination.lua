-- Included by scripts that change what waits for a destination.

local function whole(number)
  return string.format('%.0f', number + 0)
end

-- Puts a destination in order: by its earliest notification, but not before its pause ends. Without notifications it leaves the order.
local function rank_destination(destinations, waiting, health, name)
  local first = redis.call('ZRANGE', waiting, '0', '0', 'WITHSCORES')
  if #first == 0 then
    redis.call('ZREM', destinations, name)
    return
  end
  local paused_until = tonumber(redis.call('HGET', health, 'paused_until') or '0')
  redis.call('ZADD', destinations, whole(math.max(tonumber(first[2]), paused_until)), name)
end

-- ms without an attempt after which failures are no longer one series; longer than any wait between the attempts of a notification.
local series_ends_after = 3 * 24 * 3600 * 1000

-- Forgets the failures of a series that has ended: what is sent next says nothing about the days between.
local function end_old_series(health, now)
  local failed_at = tonumber(redis.call('HGET', health, 'failed_at') or '')
  if failed_at and now - failed_at > series_ends_after then
    redis.call('HDEL', health, 'failures', 'failing_since', 'failed_at', 'paused_until')
  end
end
