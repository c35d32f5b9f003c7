--[[
  Makes an operator's entry: a grant or an adjustment. All checks come first; the writes after them cannot fail.

  KEYS[1]  the account's hash
  KEYS[2]  its ledger
  KEYS[3]  hash: name of a request -> `<id of its entry> <digest of its body>`; kept as long as the ledger

  KEYS[4]  hash: the tenant's outbox of notices
  KEYS[5]  hash: the types of events that its endpoints hear of; also the channel of programs that follow its events
  KEYS[6]  sorted set: the due index, ms

  ARGV[1]  kind: grant | adjustment
  ARGV[2]  amount: whole micro-credits, |amount| < 2^53
  ARGV[3]  reason
  ARGV[4]  name of the request
  ARGV[5]  digest of its body
  ARGV[6..9]  the notice that is owed if the balance is below its threshold now: type, id, JSON, member of the due index

  Output: { status, detail }
    entered | repeated (detail: the entry's id) | key_reused
    damaged (detail: the field that is no whole number, or beyond what can be counted)
    too_low (detail: the balance, which the adjustment would take below 0) | too_large (not exactly representable)

  The first grant makes the tenant limited. An entry `opening` before it grants what the tenant has spent until then, so
  that the tenant starts with the granted amount.
]]
local LARGEST = 9007199254740991

for i, wanted in ipairs({ 'hash', 'stream', 'hash', 'hash', 'hash', 'zset' }) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('WRONGTYPE key ' .. i .. ' is a ' .. found)
  end
end

local kind, amount = ARGV[1], tonumber(ARGV[2])
local known = redis.call('HGET', KEYS[3], ARGV[4])
if known then
  local id, body = string.match(known, '^(%S+) (.*)$')
  if body == ARGV[5] then
    return { 'repeated', id }
  end
  return { 'key_reused', '' }
end

for _, field in ipairs({ 'granted', 'balance', 'held', 'captured' }) do
  local value = tonumber(redis.call('HGET', KEYS[1], field) or '0')
  if not value or value ~= math.floor(value) or math.abs(value) > LARGEST then
    return { 'damaged', field }
  end
end

local balance = credit(KEYS[1], 'balance')
local opening = 0
if kind == 'grant' and not is_limited(KEYS[1]) then
  opening = math.max(0, -balance)
end
if kind == 'adjustment' and amount < 0 and balance + amount < 0 then
  return { 'too_low', micros(balance) }
end
for _, sum in ipairs({ credit(KEYS[1], 'granted') + opening + amount, balance + opening + amount }) do
  if math.abs(sum) > LARGEST then
    return { 'too_large', '' }
  end
end

local function raise(by)
  move_credit(KEYS[1], 'granted', by)
  move_credit(KEYS[1], 'balance', by)
end
if kind == 'grant' then
  redis.call('HSET', KEYS[1], 'limited', '1')
end
if opening > 0 then
  raise(opening)
  enter(KEYS[1], KEYS[2], 'opening', opening, {})
end
raise(amount)
local id = enter(KEYS[1], KEYS[2], kind, amount, { 'reason', ARGV[3] })
redis.call('HSET', KEYS[3], ARGV[4], id .. ' ' .. ARGV[5])
if is_low and (redis.call('HEXISTS', KEYS[5], ARGV[6]) == 1 or redis.call('PUBSUB', 'NUMSUB', KEYS[5])[2] > 0) then
  redis.call('HSET', KEYS[4], ARGV[7], ARGV[8])
  redis.call('ZADD', KEYS[6], micros(math.floor(clock_us() / 1000)), ARGV[9])
end
return { 'entered', id }
