--[[
  Puts jobs in line. Read after they joined: a doorbell of this number has not claimed yet and will find them.

  Input:   KEYS of the order (line-keys.ts), then the number of doorbells that have claimed (string), ARGV members of the line
  Output:  { number of doorbells that have claimed, number of tenants with jobs that may go on }
]]
local at = order_keys(KEYS)
for _, member in ipairs(ARGV) do
  join_line(at, member)
end
return { tonumber(redis.call('GET', KEYS[13]) or '0'), redis.call('ZCARD', at.i) + redis.call('ZCARD', at.b) }
