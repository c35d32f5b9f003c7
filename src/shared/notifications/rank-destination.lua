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
