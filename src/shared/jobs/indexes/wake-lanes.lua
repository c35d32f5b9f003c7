--[[
  Puts the parked lanes back that may go on: a limit was raised or lifted, a pause ended, or the news of a slot was lost.

  Input:   KEYS of the order (line-keys.ts), ARGV[1] number of scopes to look at, and of lanes of each, at most
  Output:  number of lanes
]]
local at = order_keys(KEYS)
local most = tonumber(ARGV[1])
local woken, from = 0, '-'
for _ = 1, most do
  local member = redis.call('ZRANGE', at.parked, from, '+', 'BYLEX', 'LIMIT', '0', '1')[1]
  if not member then
    break
  end
  local scope = string.match(member, '^%S+')
  local room = room_of(at, scope, most)
  if room > 0 then
    woken = woken + unpark(at, scope, room)
  end
  from = '(' .. scope .. '!'
end
return woken
