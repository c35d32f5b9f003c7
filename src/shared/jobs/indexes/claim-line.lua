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

local shares = redis.call('HMGET', at.shares, 'turns', 'v i', 'v b')
local turns, time = tonumber(shares[1] or '0'), { i = tonumber(shares[2] or '0'), b = tonumber(shares[3] or '0') }
local waiting = { i = redis.call('ZCARD', at.i), b = redis.call('ZCARD', at.b) }
local has_pauses = redis.call('EXISTS', at.pauses) == 1
local changed, placed = {}, {}
-- Slots that this script gives away, by scope.
local taken = {}

local function next_class()
  if waiting.i > 0 and waiting.b > 0 then
    return turns >= BATCH_EVERY - 1 and 'b' or 'i'
  end
  return (waiting.i > 0 and 'i') or (waiting.b > 0 and 'b') or nil
end

-- Leases the job, and returns the next tag of its tenant. A job that was charged before has its old place, and costs nothing more.
local function charge(class, tenant, lane, job, start, cost, weight)
  local mine = 'f ' .. class .. ' ' .. tenant
  local finish = tonumber(changed[mine] or redis.call('HGET', at.shares, mine) or '0')
  local place = redis.call('HGET', at.places, job)
  time[class] = math.max(time[class], start)
  placed[#placed + 1] = job
  placed[#placed + 1] = (place and string.match(place, '^%S+') or exact(start)) .. lease
  if place then
    return math.max(finish, time[class])
  end
  finish = math.max(start, finish) + cost_of(at, cost, lane) / (tonumber(weight or '') or 1)
  changed[mine] = exact(finish)
  return finish
end

-- Takes the next job of a class, or mends what keeps it from being taken: then nil.
local function look(class)
  local first = redis.call('ZRANGE', at[class], '0', '0', 'WITHSCORES')
  local tenant, start = first[1], tonumber(first[2])
  local mine = class .. ' ' .. tenant
  local entries = first_with(at.lanes, mine, 2)
  if not entries[1] then
    redis.call('ZREM', at[class], tenant)
    waiting[class] = waiting[class] - 1
    return nil
  end
  local head, job, lane = string.match(string.sub(entries[1], #mine + 2), '^(%d+ (%S+)) (%S+)$')
  local flow = mine .. ' ' .. lane
  local members = first_with(at.line, flow, 2)
  if not members[1] or head_of(members[1], flow) ~= head then
    settle_lane(at, class, tenant, lane, head)
    waiting[class] = redis.call('ZCARD', at[class])
    return nil
  end
  local scopes = scopes_of(tenant, lane)
  local limits, weight = limits_of(at, scopes, 'weight tenant:' .. tenant)
  local blocked = (has_pauses and paused_scope(at, scopes)) or full_scope(at, limits, job, taken)
  local others = entries[2] ~= nil
  if blocked then
    park_lane(at, class, tenant, lane, head, blocked, start, others)
    waiting[class] = waiting[class] - (others and 0 or 1)
    return nil
  end
  for _, scope in ipairs(scopes) do
    taken[scope] = (taken[scope] or 0) + 1
  end
  redis.call('ZREM', at.line, members[1])
  note_head(at, class, tenant, lane, head, members[2] and head_of(members[2], flow))
  local tag = charge(class, tenant, lane, job, start, string.match(members[1], '%S+$'), weight)
  if others or members[2] then
    redis.call('ZADD', at[class], exact(tag), tenant)
  else
    redis.call('ZREM', at[class], tenant)
  end
  if class == 'b' then
    turns = 0
  elseif waiting.b > 0 then
    turns = turns + 1
  end
  waiting[class] = waiting[class] - ((others or members[2]) and 0 or 1)
  return members[1], job
end

local chosen, due = {}, {}
for _ = 1, LOOKS do
  local class = #chosen < most and next_class()
  if not class then
    break
  end
  local member, job = look(class)
  if member then
    chosen[#chosen + 1] = member
    due[#due + 1] = lease_end
    due[#due + 1] = 'job:' .. job
  end
end
if #chosen > 0 then
  redis.call('HSET', at.places, unpack(placed))
  redis.call('ZADD', due_index, 'XX', 'LT', unpack(due))
  if waiting.i + waiting.b > 0 or redis.call('EXISTS', at.parked) == 1 then
    local fields = { 'turns', tostring(turns), 'v i', exact(time.i), 'v b', exact(time.b) }
    for name, tag in pairs(changed) do
      fields[#fields + 1] = name
      fields[#fields + 1] = tag
    end
    redis.call('HSET', at.shares, unpack(fields))
  else
    -- Nobody waits, so nobody is owed a turn.
    redis.call('DEL', at.shares)
  end
end
if ARGV[4] == '1' then
  redis.call('INCR', claims)
end
return { waiting.i + waiting.b, unpack(chosen) }
