--[[
  Finds the priority of a copy in the `store` queue (docs/adr/0017-fair-order.md): BullMQ takes small numbers first, and equal ones
  in the order of their addition. Outputs that upstream removes soon come first. The others are in the order of their start tags
  (start-time fair queueing), and each copy moves the finish tag of its tenant on by 1 / weight. The virtual time is the tag of the
  first copy that waits. When none waits, nobody is owed a turn.

  A copy that is in the queue already costs nothing more; it moves to the front when its output is removed soon.

  Input:   KEYS[1] the copy's hash in the queue, KEYS[2] the queue's sorted set of those that wait, score: priority * 2^32 and a
           counter, KEYS[3] finish tags by tenant (hash), KEYS[4] limits (hash, `weight tenant:<tenant>`)
           ARGV[1] id in the queue, ARGV[2] tenant, ARGV[3] time when upstream removes the output, ms
  Output:  priority; 0 when it is in the queue already
]]
local SOON_MINUTES = 20
local FIRST, LAST = 64, 2097151
local STEPS = 16
local UNIT = 4294967296
-- So that a tenant of little weight does not use up the numbers.
local LEAST_WEIGHT = 0.01

local left = math.floor((tonumber(ARGV[3]) - clock_ms()) / 60000)
local urgent = left < SOON_MINUTES and math.max(left, 0) + 1
if redis.call('EXISTS', KEYS[1]) == 1 then
  local score = urgent and tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0')
  if score and score >= (urgent + 1) * UNIT then
    redis.call('ZADD', KEYS[2], string.format('%.0f', urgent * UNIT + score % UNIT), ARGV[1])
    redis.call('HSET', KEYS[1], 'priority', urgent)
  end
  return 0
end
if urgent then
  return urgent
end
local head = redis.call('ZRANGE', KEYS[2], string.format('%.0f', FIRST * UNIT), '+inf', 'BYSCORE', 'LIMIT', '0', '1', 'WITHSCORES')
local start = 0
if head[2] then
  local time = (math.floor(tonumber(head[2]) / UNIT) - FIRST) / STEPS
  start = math.max(time, tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or '0'))
else
  redis.call('DEL', KEYS[3])
end
local weight = tonumber(redis.call('HGET', KEYS[4], 'weight tenant:' .. ARGV[2]) or '') or 1
redis.call('HSET', KEYS[3], ARGV[2], string.format('%.17g', start + 1 / math.max(weight, LEAST_WEIGHT)))
return math.min(FIRST + math.floor(start * STEPS), LAST)
