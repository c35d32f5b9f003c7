--[[
  The clocks of pauses by hand, included by scripts that read them. `key`: hash, for each scope that was ever paused: `<scope>`, ms
  of the pauses that ended, and `since <scope>`, ms, while it is paused. Time in which several scopes of a job are paused counts for
  each of them.
]]
local function manual_clock(key, scopes, now)
  if redis.call('EXISTS', key) == 0 then
    return 0
  end
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
