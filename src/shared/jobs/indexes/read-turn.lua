--[[
  Reads what is ahead of a job among those of its tenant, and which limits concern it. The job need not be in line.

  Input:   KEYS of the order (line-keys.ts), ARGV[1] member of the line, ARGV[2] number of lanes to look at at most
  Output:  { jobs of the tenant that have been ready for longer, start tag of the next one, cost divided by weight, whether a
           worker has chosen the job (`1`), whether it is paused (`1`), scope that holds up its lane or nothing,
           scope, limit, jobs in flight, jobs that wait for a slot before this one, ... }; numbers as texts
]]
local at = order_keys(KEYS)
local most = tonumber(ARGV[2])
local class, tenant, lane, head, job, cost = string.match(ARGV[1], '^(%S+) (%S+) (%S+) (%d+ (%S+)) (%S+)$')
local mine = class .. ' ' .. tenant
local flow = mine .. ' ' .. lane

local function earlier(in_flow)
  return redis.call('ZLEXCOUNT', at.line, '[' .. in_flow .. ' ', '(' .. in_flow .. ' ' .. head)
end

local in_lane = earlier(flow)
local ahead = in_lane
for _, entry in ipairs(first_with(at.lanes, mine, most)) do
  local of = mine .. ' ' .. string.match(entry, '%S+$')
  if of ~= flow then
    ahead = ahead + earlier(of)
  end
end

local tag = redis.call('ZSCORE', at[class], tenant)
if not tag then
  local tags = redis.call('HMGET', at.shares, 'v ' .. class, 'f ' .. mine)
  tag = exact(math.max(tonumber(tags[1] or '0'), tonumber(tags[2] or '0')))
end
local place = redis.call('HGET', at.places, job)
local chosen = place and string.match(place, '^%S+ (%S+)') ~= '-'

local scopes = scopes_of(tenant, lane)
local paused = paused_scope(at, scopes)
local noted = redis.call('HGET', at.heads, flow) or ''
local blocked = paused or string.match(noted, '^parked (%S+)') or ''

local found = {
  string.format('%.0f', ahead), tag, exact(step_of(at, tenant, cost, lane)), chosen and '1' or '0', paused and '1' or '0', blocked,
}
for scope, limit in pairs((limits_of(at, scopes))) do
  local waiting = in_lane
  for _, member in ipairs(first_with(at.parked, scope, most)) do
    local other = string.match(member, '(%S+ %S+ %S+)$')
    if other ~= flow then
      waiting = waiting + math.min(in_lane + 1, number_with(at.line, other))
    end
  end
  for _, figure in ipairs({ scope, exact(limit), string.format('%.0f', number_with(at.flight, scope)), string.format('%.0f', waiting) }) do
    found[#found + 1] = figure
  end
end
return found
