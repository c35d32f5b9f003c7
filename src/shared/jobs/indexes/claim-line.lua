--[[
  Chooses jobs for a worker and leases them: a job that its worker does not begin is due again when the lease ends, and the
  sweep puts it back in line. No due time is put off: the end of `start_within` may be earlier.

  Of the classes, `interactive` is first, but each tenth job is one of a `batch` while both wait. Of the tenants of a class, the
  one with the smallest start tag is next (start-time fair queueing): its tag moves on by the cost of the job, divided by the
  weight of the tenant. Of the jobs of a tenant, the one that has been ready for longest is next. A lane that a limit of jobs
  in flight or a pause blocks is parked. The work of one call is bounded by the number of jobs that it may take.

  Input:   KEYS of the order (line-keys.ts), then the number of doorbells that have claimed (string), and the due index
           (sorted set, score ms), ARGV[1] number of jobs at most, ARGV[2] lease ms, ARGV[3] name of the lease, ARGV[4] `1`
           for the first claim of a doorbell
  Output:  { number of tenants that still have jobs that may go on, member of the line, ... }
]]
local at = order_keys(KEYS)
local claims, due_index = KEYS[13], KEYS[14]
local most = tonumber(ARGV[1])
local lease_end = string.format('%.0f', clock_ms() + tonumber(ARGV[2]))
local lease = ' ' .. ARGV[3] .. ' ' .. lease_end
-- Each look takes a job, parks a lane, or notes the true head of one whose first job has left.
local LOOKS = 2 * most + 50

local function next_class(waiting)
  if waiting.i > 0 and waiting.b > 0 then
    local turns = tonumber(redis.call('HGET', at.shares, 'turns') or '0')
    return turns >= BATCH_EVERY - 1 and 'b' or 'i'
  end
  return (waiting.i > 0 and 'i') or (waiting.b > 0 and 'b') or nil
end

local function cost_of(text, lane)
  local cost = tonumber(text)
  if not cost then
    local target = string.match(lane, '%a+:([^|]+)$')
    cost = tonumber(redis.call('HGET', at.costs, target) or '1')
  end
  return math.max(cost, LEAST_COST)
end

-- Leases the job, and moves its tenant on. A job that was charged before has its old place, and costs nothing more.
local function charge(class, tenant, job, start, cost)
  local mine = 'f ' .. class .. ' ' .. tenant
  local tags = redis.call('HMGET', at.shares, 'v ' .. class, mine)
  local time, finish = math.max(tonumber(tags[1] or '0'), start), tonumber(tags[2] or '0')
  local place = redis.call('HGET', at.places, job)
  if place then
    redis.call('HSET', at.places, job, string.match(place, '^%S+') .. lease)
    finish = math.max(finish, time)
  else
    redis.call('HSET', at.places, job, exact(start) .. lease)
    local weight = tonumber(redis.call('HGET', at.limits, 'weight tenant:' .. tenant) or '1')
    finish = math.max(start, finish) + cost / weight
    redis.call('HSET', at.shares, mine, exact(finish), 'v ' .. class, exact(time))
  end
  redis.call('ZADD', at[class], 'XX', exact(finish), tenant)
end

local taken = {}
local function look(class, both)
  local next = redis.call('ZRANGE', at[class], '0', '0', 'WITHSCORES')
  local tenant, start = next[1], tonumber(next[2])
  local entry = first_with(at.lanes, class .. ' ' .. tenant)
  if not entry then
    redis.call('ZREM', at[class], tenant)
    return nil
  end
  local head, job, lane = string.match(string.sub(entry, #class + #tenant + 3), '^(%d+ (%S+)) (%S+)$')
  local member = first_with(at.line, class .. ' ' .. tenant .. ' ' .. lane .. ' ' .. head)
  if not member then
    settle_lane(at, class, tenant, lane)
    return nil
  end
  local scopes = scopes_of(tenant, lane)
  local blocked = blocking_scope(at, scopes, job, taken)
  if blocked then
    park_lane(at, class, tenant, lane, head, blocked, start)
    return nil
  end
  for _, scope in ipairs(scopes) do
    taken[scope] = (taken[scope] or 0) + 1
  end
  redis.call('ZREM', at.line, member)
  settle_lane(at, class, tenant, lane)
  charge(class, tenant, job, start, cost_of(string.match(member, '%S+$'), lane))
  if class == 'b' then
    redis.call('HDEL', at.shares, 'turns')
  elseif both then
    redis.call('HINCRBY', at.shares, 'turns', 1)
  end
  return member, job
end

local chosen, due = {}, {}
local waiting = {}
local function count()
  waiting.i, waiting.b = redis.call('ZCARD', at.i), redis.call('ZCARD', at.b)
end
count()
for _ = 1, LOOKS do
  local class = #chosen < most and next_class(waiting)
  if not class then
    break
  end
  local member, job = look(class, waiting.i > 0 and waiting.b > 0)
  if member then
    chosen[#chosen + 1] = member
    due[#due + 1] = lease_end
    due[#due + 1] = 'job:' .. job
  end
  count()
end
-- Nobody waits, so nobody is owed a turn.
if waiting.i + waiting.b == 0 and redis.call('EXISTS', at.parked) == 0 then
  redis.call('DEL', at.shares)
end
if ARGV[4] == '1' then
  redis.call('INCR', claims)
end
if #due > 0 then
  redis.call('ZADD', due_index, 'XX', 'LT', unpack(due))
end
return { waiting.i + waiting.b, unpack(chosen) }
