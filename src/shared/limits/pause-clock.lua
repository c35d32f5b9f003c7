-- Included by scripts that pause creation. Of several pauses the longest counts; the pause clock counts the ms of all of
-- them, each added whole when it is set. `key`: the account's hash.
local function pause_creation(key, now, ms, reason)
  local state = redis.call('HMGET', key, 'paused_until', 'paused_total')
  local from = math.max(now, tonumber(state[1] or '0'))
  local til = now + ms
  if til > from then
    redis.call('HSET', key, 'paused_until', string.format('%.0f', til), 'pause_reason', reason,
      'paused_total', string.format('%.0f', tonumber(state[2] or '0') + til - from))
  end
end
local function pause_clock(key, now)
  local state = redis.call('HMGET', key, 'paused_until', 'paused_total')
  return tonumber(state[2] or '0') - math.max(0, tonumber(state[1] or '0') - now)
end
-- Half opens the account: no create until GET /account answers; longer with each time in a row.
local function trip(key, now, first, longest, reason)
  local trips = redis.call('HINCRBY', key, 'trips', 1)
  redis.call('HSET', key, 'half_open', '1')
  redis.call('HDEL', key, 'probe', 'probe_lease')
  pause_creation(key, now, math.min(longest, first * 2 ^ math.min(trips - 1, 16)), reason)
end
