--[[
  The order of waiting jobs, included by scripts that change it (docs/adr/0017-fair-order.md).

  A lane has the jobs of one class, tenant and target. What may hold a job up before its turn, a limit of jobs in flight or a pause
  by hand, concerns its whole lane, so a lane is parked and comes back as one.

  `at` has the names of the keys:
    line     sorted set, scores 0: `<class> <tenant> <lane> <ready> <job> <cost>` of each waiting job
    lanes    sorted set, scores 0: `<class> <tenant> <ready> <job> <lane>`, the head of each lane that may go on
    heads    hash: `<class> <tenant> <lane>` -> `<ready> <job>` of that head, or `parked <scope> <tag>`
    i, b     sorted sets: tenants with such lanes, by the start tag of their next job (interactive, batch)
    shares   hash: `v <class>`, the virtual time; `f <class> <tenant>`, the finish tag of the tenant's last job;
             `turns`, interactive jobs since the last one of a batch, while both wait
    places   hash: job -> `<start tag> <lease> <end of the lease, ms>`, from its first choice until its prediction exists or it
             ends: a job that comes back into line has its old place, and costs its tenant nothing more. Lease `-`: none
    parked   sorted set, scores 0: `<scope> <tag> <class> <tenant> <lane>`
    flight   sorted set, scores 0: `<scope> <job>` of each job in flight
    limits   hash: `concurrency <scope>`, `per_tenant preset:<name>`, the same after `default `, `weight tenant:<tenant>`
    pauses   hash: scope -> why it is paused
    costs    hash: model, deployment or version -> the p50 of its runs, s
]]
local BATCH_EVERY = 10
-- A tenant whose jobs cost nothing would never lose its turn.
local LEAST_COST = 0.001

local function exact(number)
  return string.format('%.17g', number)
end

-- The first members that begin with `prefix` and a blank; `!` is the next character after the blank.
local function first_with(key, prefix, most)
  return redis.call('ZRANGE', key, '[' .. prefix .. ' ', '(' .. prefix .. '!', 'BYLEX', 'LIMIT', '0', most)
end

local function number_with(key, prefix)
  return redis.call('ZLEXCOUNT', key, '[' .. prefix .. ' ', '(' .. prefix .. '!')
end

-- Gives a tenant that has lanes a turn, unless it has one.
local function give_turn(at, class, tenant)
  local tags = redis.call('HMGET', at.shares, 'v ' .. class, 'f ' .. class .. ' ' .. tenant)
  redis.call('ZADD', at[class], 'NX', exact(math.max(tonumber(tags[1] or '0'), tonumber(tags[2] or '0'))), tenant)
end

-- What a job costs its tenant. `text`: `-` for the typical run time of the target of its lane.
local function cost_of(at, text, lane)
  local cost = tonumber(text)
  if not cost then
    local target = string.match(lane, '%a+:([^|]+)$')
    cost = tonumber(target and redis.call('HGET', at.costs, target) or '1')
  end
  return math.max(cost, LEAST_COST)
end

-- By how much a job moves the tag of its tenant.
local function step_of(at, tenant, cost, lane)
  return cost_of(at, cost, lane) / (tonumber(redis.call('HGET', at.limits, 'weight tenant:' .. tenant) or '') or 1)
end

-- `<ready> <job>` of a member of the line that begins with `flow`.
local function head_of(member, flow)
  return string.match(string.sub(member, #flow + 2), '^%d+ %S+')
end

-- Notes `head` as that of a lane, instead of `noted`; each may be nil.
local function note_head(at, class, tenant, lane, noted, head)
  local flow, mine = class .. ' ' .. tenant .. ' ' .. lane, class .. ' ' .. tenant .. ' '
  if noted then
    redis.call('ZREM', at.lanes, mine .. noted .. ' ' .. lane)
  end
  if head then
    redis.call('ZADD', at.lanes, '0', mine .. head .. ' ' .. lane)
    redis.call('HSET', at.heads, flow, head)
  else
    redis.call('HDEL', at.heads, flow)
  end
end

-- Finds the head of a lane after its jobs changed, or after it was parked.
local function settle_lane(at, class, tenant, lane, noted)
  local flow = class .. ' ' .. tenant .. ' ' .. lane
  local member = first_with(at.line, flow, 1)[1]
  note_head(at, class, tenant, lane, noted, member and head_of(member, flow))
  if member then
    give_turn(at, class, tenant)
  elseif #first_with(at.lanes, class .. ' ' .. tenant, 1) == 0 then
    redis.call('ZREM', at[class], tenant)
  end
end

-- Puts a job in line, at the place that it had if it was chosen before.
local function join_line(at, member)
  local is_new = redis.call('ZADD', at.line, '0', member) == 1
  local class, tenant, lane, head, job = string.match(member, '^(%S+) (%S+) (%S+) (%d+ (%S+))')
  local noted = redis.call('HGET', at.heads, class .. ' ' .. tenant .. ' ' .. lane)
  -- A head that has left the line is found out when its turn comes. `parked` comes after every number.
  if not is_new and not noted then
    settle_lane(at, class, tenant, lane, nil)
  elseif not noted or (head < noted and string.sub(noted, 1, 7) ~= 'parked ') then
    note_head(at, class, tenant, lane, noted, head)
    give_turn(at, class, tenant)
  end
  local place = is_new and redis.call('HGET', at.places, job)
  if place then
    local tag = string.match(place, '^%S+')
    redis.call('HSET', at.places, job, tag .. ' - 0')
    redis.call('ZADD', at[class], 'XX', 'LT', tag, tenant)
  end
end

-- The scopes of all jobs of a lane. `preset:<name>@<tenant>`: those of the preset's own limit for each tenant.
local function scopes_of(tenant, lane)
  local scopes = { 'tenant:' .. tenant }
  for scope in string.gmatch(lane, '[^|]+') do
    scopes[#scopes + 1] = scope
    if string.sub(scope, 1, 7) == 'preset:' then
      scopes[#scopes + 1] = scope .. '@' .. tenant
    end
  end
  return scopes
end

-- The names of a scope's limit in the hash of limits: what an operator set, and what the preset's file says.
local function limit_names(scope)
  local preset = string.match(scope, '^(preset:[^@]+)@')
  local name = preset and ('per_tenant ' .. preset) or ('concurrency ' .. scope)
  return name, 'default ' .. name
end

-- Limits of jobs in flight, by scope. An operator's empty text lifts the limit of the file. Also the value of another field.
local function limits_of(at, scopes, also)
  local names = {}
  for _, scope in ipairs(scopes) do
    names[#names + 1], names[#names + 2] = limit_names(scope)
  end
  names[#names + 1] = also
  local found, limits = redis.call('HMGET', at.limits, unpack(names)), {}
  for i, scope in ipairs(scopes) do
    limits[scope] = tonumber(found[2 * i - 1] or found[2 * i] or '')
  end
  return limits, also and found[#names]
end

-- The paused one of these scopes, if any, by hand or by the circuit breaker of the target, which is the last one.
local function paused_scope(at, scopes)
  local names = { 'all', unpack(scopes) }
  names[#names + 1] = 'breaker:' .. scopes[#scopes]
  local found = redis.call('HMGET', at.pauses, unpack(names))
  for i, scope in ipairs(names) do
    if found[i] then
      return scope
    end
  end
end

-- The scope whose limit keeps a job from starting now; nil: none. `taken`: slots that this script gives away, by scope.
local function full_scope(at, limits, job, taken)
  for scope, limit in pairs(limits) do
    local held = number_with(at.flight, scope) + (taken[scope] or 0)
    if held >= limit and not redis.call('ZSCORE', at.flight, scope .. ' ' .. job) then
      return scope
    end
  end
end

local function blocking_scope(at, scopes, job)
  return paused_scope(at, scopes) or full_scope(at, (limits_of(at, scopes)), job, {})
end

-- Sets a lane aside until its scope has room. `others`: whether the tenant has other lanes.
local function park_lane(at, class, tenant, lane, head, scope, tag, others)
  local mark = scope .. ' ' .. string.format('%020.6f', tag)
  redis.call('ZREM', at.lanes, class .. ' ' .. tenant .. ' ' .. head .. ' ' .. lane)
  redis.call('HSET', at.heads, class .. ' ' .. tenant .. ' ' .. lane, 'parked ' .. mark)
  redis.call('ZADD', at.parked, '0', mark .. ' ' .. class .. ' ' .. tenant .. ' ' .. lane)
  if not others then
    redis.call('ZREM', at[class], tenant)
  end
end

-- Puts up to `most` parked lanes of a scope back, those of the tenants whose turn is next first. Returns their number.
local function unpark(at, scope, most)
  local found = first_with(at.parked, scope, most)
  for _, member in ipairs(found) do
    local tag, class, tenant, lane = string.match(member, ' (%S+) (%S+) (%S+) (%S+)$')
    redis.call('ZREM', at.parked, member)
    settle_lane(at, class, tenant, lane, nil)
    redis.call('ZADD', at[class], 'XX', 'LT', exact(tonumber(tag)), tenant)
  end
  return #found
end

-- Puts a parked lane of each scope back, because a job in flight of these scopes has ended. Returns the number of lanes.
local function make_room(at, scopes)
  local woken = 0
  for _, scope in ipairs(scopes) do
    woken = woken + unpark(at, scope, 1)
  end
  return woken
end

-- Slots that a scope has left, or whether it is paused: 0. Without a limit: `most`.
local function room_of(at, scope, most)
  if redis.call('HEXISTS', at.pauses, scope) == 1 then
    return 0
  end
  local limit = limits_of(at, { scope })[scope]
  return limit and math.max(0, math.min(most, limit - number_with(at.flight, scope))) or most
end

-- The names of the keys, for scripts whose first keys are those of line-keys.ts.
local function order_keys(keys)
  return {
    line = keys[1], lanes = keys[2], heads = keys[3], i = keys[4], b = keys[5], shares = keys[6], places = keys[7],
    parked = keys[8], flight = keys[9], limits = keys[10], pauses = keys[11], costs = keys[12],
  }
end
