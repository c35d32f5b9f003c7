--[[
  Puts a job back in line, and sets its lane aside until its account may go on: the sweep puts it back then.

  Input:   KEYS of the order (line-keys.ts), ARGV[1] the member of the line, ARGV[2] the scope of the account
  Output:  1
]]
local at = order_keys(KEYS)
join_line(at, ARGV[1])
local class, tenant, lane = string.match(ARGV[1], '^(%S+) (%S+) (%S+)')
local mine = class .. ' ' .. tenant
local head = redis.call('HGET', at.heads, mine .. ' ' .. lane)
if head and string.sub(head, 1, 7) ~= 'parked ' then
  local tag = tonumber(redis.call('ZSCORE', at[class], tenant) or '0')
  local others = #first_with(at.lanes, mine, 2) > 1
  park_lane(at, class, tenant, lane, head, ARGV[2], tag, others)
end
return 1
