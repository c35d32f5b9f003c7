--[[
  The clocks of pauses, by hand and by circuit breakers of models, included by scripts that read or change them.

  `key`, `clocks`: hash, for each scope that was ever paused: `<scope>`, ms of the pauses that ended, and `since <scope>`, ms, while
  it is paused. Time in which several scopes of a job are paused counts for each of them.
]]
local function manual_clock(key, scopes, now)
  local sum, names = 0, {}
  for _, scope in ipairs(scopes) do
    names[#names + 1], names[#names + 2] = scope, 'since ' .. scope
  end
  local found = redis.call('HMGET', key, unpack(names))
  for i = 1, #found, 2 do
    sum = sum + tonumber(found[i] or '0') + (found[i + 1] and math.max(0, now - tonumber(found[i + 1])) or 0)
  end
  return sum
end
-- `pause`: JSON, why the scope is paused, without the time. Of a paused scope it is replaced.
local function pause_scope(pauses, clocks, scope, pause, now)
  redis.call('HSETNX', clocks, 'since ' .. scope, string.format('%.0f', now))
  redis.call('HSET', pauses, scope, pause)
end
-- Ends a pause, and adds its time to the clock of its scope. Returns whether the scope was paused.
local function resume_scope(pauses, clocks, scope, now)
  if redis.call('HDEL', pauses, scope) == 0 then
    return false
  end
  local since = tonumber(redis.call('HGET', clocks, 'since ' .. scope) or now)
  redis.call('HDEL', clocks, 'since ' .. scope)
  redis.call('HINCRBY', clocks, scope, string.format('%.0f', math.max(0, now - since)))
  return true
end
