-- Circuit breaker of creation, included by scripts that pause it. Overlapping pauses: the longest one counts. The pause
-- clock counts the ms of all pauses, each added in full when it is set, and the ms in which the breaker is half open
-- between two pauses, because creation waits then too. `key`: the account's hash.
local function pause_creation(key, now, ms, reason)
  local state = redis.call('HMGET', key, 'paused_until', 'paused_total', 'half_open')
  local before = tonumber(state[1] or '0')
  local from = state[3] and before or math.max(now, before)
  local til = now + ms
  if til > before then
    redis.call('HSET', key, 'paused_until', string.format('%.0f', til), 'pause_reason', reason,
      'paused_total', string.format('%.0f', tonumber(state[2] or '0') + til - from))
  end
end
-- `state`: paused_until, paused_total and half_open of the account.
local function pause_clock_of(state, now)
  local ahead = tonumber(state[1] or '0') - now
  if not state[3] then
    ahead = math.max(0, ahead)
  end
  return tonumber(state[2] or '0') - ahead
end
local function pause_clock(key, now)
  return pause_clock_of(redis.call('HMGET', key, 'paused_until', 'paused_total', 'half_open'), now)
end
-- Trips the breaker: no create until GET /account succeeds. Each consecutive trip doubles the pause.
local function trip(key, now, first, longest, reason)
  local trips = redis.call('HINCRBY', key, 'trips', 1)
  pause_creation(key, now, math.min(longest, first * 2 ^ math.min(trips - 1, 16)), reason)
  redis.call('HSET', key, 'half_open', reason)
  redis.call('HDEL', key, 'probe', 'probe_lease', 'probe_holder')
end
-- Closes the breaker because upstream is healthy. Returns true when the breaker was half open.
local function close_trip(key, now)
  if redis.call('HEXISTS', key, 'half_open') == 0 then
    return false
  end
  if tonumber(redis.call('HGET', key, 'paused_until') or '0') < now then
    redis.call('HSET', key, 'paused_total', string.format('%.0f', pause_clock(key, now)))
  end
  redis.call('HDEL', key, 'half_open')
  return true
end
