--[[
  Returns the generation of Redis's memory. Begins a new one, with the recovery gate closed, when the memory may have gone
  back: the server is another one or was restarted, its memory does not descend from the generation that the caller knows,
  no process has read it for longer than the longest interval, or it lost its scripts.

  Input:
    KEYS[1]  hash: id, replid, past (ids that this memory descends from), began (ms), open (a gate is open),
             open:<account>, since:<account> (from when on its list was not compared, ms), seen (ms), lost_at (ms),
             cause (why the generation began)
    ARGV[1]  the generation that the caller knows; ''
    ARGV[2]  the id of a new one
    ARGV[3]  longest interval between two reads by processes, ms; '' for a read-only caller
    ARGV[4]  generation whose gate is open although its scripts are lost; ''

  Output:  { id, '1' when a gate is open, replication id, ms since the loss of a later memory was found, or '',
             the cause: first (nothing was created yet), lost, restarted, scripts, unattended; '' when unknown,
             { account with an open gate, ... } }
]]
local now = clock_ms()
local function whole(number)
  return string.format('%.0f', number)
end
local KEPT = 64
local GATE = 'open:'
-- The fields of the open gates.
local function gates()
  local fields = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, #GATE) == GATE then
      fields[#fields + 1] = field
    end
  end
  return fields
end

local replid = replication_id()
local found = redis.call('HMGET', KEYS[1], 'id', 'replid', 'past', 'open', 'seen', 'lost_at', 'cause')
local id, past, open, lost_at, cause = found[1], found[3] or '', found[4], found[6], found[7] or ''
-- The clock of Redis can have been set back since.
if lost_at and tonumber(lost_at) > now then
  lost_at = whole(now)
  redis.call('HSET', KEYS[1], 'lost_at', lost_at)
end
local function descends_from(generation)
  return generation == id or string.find(past .. ' ', ' ' .. generation .. ' ', 1, true) ~= nil
end

local is_lost = ARGV[1] ~= '' and not descends_from(ARGV[1])
local seen = tonumber(found[5] or '0')
local is_unattended = ARGV[3] ~= '' and math.abs(now - seen) > tonumber(ARGV[3])
local is_forgetful = id and ARGV[4] == id and open
local is_other = is_another(found[2], replid)
if not id or is_lost or is_unattended or is_forgetful or is_other then
  -- As long as no gate was opened, nothing was created.
  local is_first = not id or (cause == 'first' and not open)
  cause = is_lost and 'lost' or is_first and 'first' or is_other and 'restarted' or is_forgetful and 'scripts' or 'unattended'
  -- Processes that know the same later memory must not begin yet another generation.
  past = past .. (id and ' ' .. id or '') .. (is_lost and ' ' .. ARGV[1] or '')
  id, open = ARGV[2], false
  if is_lost then
    lost_at = whole(now)
    redis.call('HSET', KEYS[1], 'lost_at', lost_at)
  end
  redis.call('HSET', KEYS[1], 'id', id, 'replid', replid, 'past', string.sub(past, -KEPT * (#id + 1)), 'cause', cause,
    'began', whole(now))
  redis.call('HDEL', KEYS[1], 'open', unpack(gates()))
elseif replid ~= '' and (found[2] or '') == '' then
  redis.call('HSET', KEYS[1], 'replid', replid)
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'seen', whole(now))
end
local accounts = {}
for _, field in ipairs(gates()) do
  accounts[#accounts + 1] = string.sub(field, #GATE + 1)
end
return { id, open and '1' or '0', replid, lost_at and whole(math.max(0, now - tonumber(lost_at))) or '', cause, accounts }
