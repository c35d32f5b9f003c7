--[[
  Reads who waits in a class, for the position of a job.

  Input:   KEYS of the order (line-keys.ts), ARGV[1] class, ARGV[2] number of tenants, and of parked lanes, to look at at most
  Output:  { jobs that workers have chosen, interactive jobs since the last one of a batch, jobs of the other class, further tenants,
           tenant, tag, jobs, cost divided by weight, ... }; numbers as texts
]]
local at = order_keys(KEYS)
local class, most = ARGV[1], tonumber(ARGV[2])
local other = class == 'i' and 'b' or 'i'

-- Jobs of parked lanes wait for something else than their turn.
local parked = {}
for _, member in ipairs(redis.call('ZRANGE', at.parked, 0, most - 1)) do
  local of, tenant, lane = string.match(member, ' (%S+) (%S+) (%S+)$')
  local jobs = number_with(at.line, of .. ' ' .. tenant .. ' ' .. lane)
  local mine = of .. ' ' .. tenant
  parked[mine] = (parked[mine] or 0) + jobs
  parked[of] = (parked[of] or 0) + jobs
end

local function jobs_of(prefix)
  return string.format('%.0f', math.max(0, number_with(at.line, prefix) - (parked[prefix] or 0)))
end

local turns = redis.call('HGET', at.shares, 'turns') or '0'
local first = redis.call('ZRANGE', at[class], 0, most - 1, 'WITHSCORES')
local more = math.max(0, redis.call('ZCARD', at[class]) - #first / 2)
local found = {
  string.format('%.0f', redis.call('HLEN', at.places)), turns, jobs_of(other), string.format('%.0f', more),
}
for i = 1, #first, 2 do
  local tenant = first[i]
  local mine = class .. ' ' .. tenant
  local lane = string.match(first_with(at.lanes, mine, 1)[1] or '', '%S+$') or ''
  local member = first_with(at.line, mine .. ' ' .. lane, 1)[1] or '1'
  for _, figure in ipairs({ tenant, first[i + 1], jobs_of(mine), exact(step_of(at, tenant, string.match(member, '%S+$'), lane)) }) do
    found[#found + 1] = figure
  end
end
return found
