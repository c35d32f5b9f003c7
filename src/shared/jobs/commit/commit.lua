--[[
  The only writer of jobs. All checks come first; the writes after them cannot fail.

  Input:
    KEYS[1]   the job's hash
    KEYS[2]   the account's hash (create budget, pause)
    KEYS[3..] every other key that a guard or a write names by its index

    ARGV[1]   commit id; the job stores the last eight, in fields c0 to c7 by revision, so that a repetition of a commit
              returns "repeated"
    ARGV[2]   the revision on which the decision was made; '' when the job must not exist yet
    ARGV[3]   the id of the commit that wrote that revision; '' for any (a memory of Redis that went back may have written
              this revision again)
    ARGV[4]   latest time of the commit: ms; '' for no limit
    ARGV[5]   create budget: creates per minute; '' when this commit takes no token and hears of no 429
    ARGV[6]   create budget: burst
    ARGV[7]   ramp: ms over which creation returns to its full rate after the circuit breaker closed
    ARGV[8]   lease of the one create of a half-open account, ms, until its outcome is known
    ARGV[9]   times of the learned rate, ms: ARGV[9] quiet, ARGV[10] doubling
    ARGV[11]  '1' when this commit takes a token
    ARGV[12..] guards and writes, each: name, key index, number of arguments, arguments
              guards:  generation id account created other ... (of Redis's memory; the recovery gate of the account must be open,
                       and for a job that was created (ms) before the generation those of the others too)
                       deployment id (Redis must still hold it) | free (the key must not exist) | mine value (must not exist, or hold this value)
                       below limit n (a sorted set has room for n more) | leased job lease (of the places of jobs)
                       room limits pauses job scope ... (of the jobs in flight: no limit or pause holds the job up)
                       first member (of a sorted set) | afford amount (of a credit account)
                       may_begin held first (a batch lets another job begin; first: the job has no attempt yet)
                       budgets_are scope text ... (of the hash of budgets: nothing has changed)
                       may_spend id subject amount limit from until (of the counts of a budget: it is the period from `from` to `until`, ms, and
                       has room for the amount; limit '': any)
              may_store tenants tenant bytes files (of the hash of what tenants have stored: there is room for one more byte
                        in one more file; the tenant's own limits in the hash `tenants` replace these)
              writes:  hset field value ... | hset_in field ms | hset_paused clocks field scope ... | hdel field ... | hincrby field n
                       set value | del | expire ms | zadd score member | zadd_in ms member ... | zrem member
                       zadd_all member ... (score 0) | zadd_from score member ... (rising by one)
                       sadd member | srem member | land line lanes heads i b shares places parked job scope ... (a job in flight of these
                       scopes has ended, and makes room) | xadd maxlen field value ... | hset_line field text
                       hold ledger batch amount job budgets ... | settle ledger spending batch kind held actual job batch label begun
                       charge_budget id subject amount keep_until levels | correct_budget id subject held (after `settle`, of the counts of a budget)
                       count_spending ttl held label (after `settle` that captured; ttl: ms)
                       count_stored tenant bytes files (what the job counts for its tenant from now on, instead of what it counted)
              owe due subscribed type own when field text after member (a row of an outbox and its member of the due index, if somebody
                  hears of the type: `own` is 1, or the hash `subscribed` has a field of it; of low credits and budgets also a subscriber of the channel
                  of the same name, for programs that follow the events of the tenant; when: '' | batch_done: this commit
                  completed the batch | credits_low: it took the account below its threshold | budget id subject: it reached a level)
              in_batch live job from to | stop_batch reason | batch_done ms member (when this commit completed the batch)
              on the account: throttled ms sent rate burst (a 429 of a create that was sent at that time; the figures that it states, or '')
                              pause ms reason | healthy | fault limit first longest reason | crowd limit ms (a sorted set)
                              model_pass pauses clocks target ms | model_works pauses clocks target sent | model_fault pauses clocks target
                              sent limit first longest (on the circuit breakers of models: model-breaker.lua)
                              probe_back claim (the one create of a half-open account was not sent)
              `_in`: ms from this commit. `_line`: text prefixed with the time. `_paused`: the pause clock of the
              account, and of pauses by hand of the scopes. An operation names further
              keys (ledger, spending, batch, live, tenants) by index; 0: none.

  Output: { status, now ms, detail, owed, woken } (owed: the fields of the rows that were owed, separated by blanks; woken: the
  number of lanes that may go on)
    allowed (nothing was written: all operations before `ask` may be done)
    applied (detail: the reading of `hset_paused`, or `<captured> <uncollected>` of `settle`) | repeated
    stale (detail: the revision found) | closed (the recovery gate) | lost (the deployment) | taken (detail: what the key holds) | too_late
    full (detail: the limit) | crowded (detail: sequence or max_spend) | blocked (detail: the scope whose limit or pause it is)
    unleased (another worker may have the job)
    over_budget (detail: `<id> <used> <subject>`) | budgets_changed
    over_quota (detail: `<name of the limit> <limit> <usage>`) | short (detail: missing micro-credits) | batch_stopped (detail: why)
    limited (detail: ms to wait, ms between two tokens) | paused (detail: ms to wait)
    probing (half open: no create until GET /account succeeds, then one at a time)

  An unknown or incomplete operation is an error, and nothing is written.

  Values are opaque: JSON is never parsed. All times are Redis time.
]]
local now_us = clock_us()
local now = math.floor(now_us / 1000)

-- Avoids `-0`, the result of negating 0 in Lua, which Redis rejects.
local function whole(number)
  return string.format('%.0f', number + 0)
end
local owed, woken = {}, 0
local function reply(status, detail)
  return { status, whole(now), detail or '', table.concat(owed, ' '), woken }
end

-- The type of the key that each operation requires. `read`: the guard itself reads the key, and Redis refuses another type
-- before anything is written; `any`: the write replaces the key, whatever it is.
local type_of = {
  hset = 'hash', hset_in = 'hash', hdel = 'hash', hset_paused = 'hash', hincrby = 'hash', hset_line = 'hash',
  set = 'any', del = 'any', expire = 'any',
  zadd = 'zset', zadd_in = 'zset', zrem = 'zset', zadd_all = 'zset', zadd_from = 'zset', batch_done = 'zset', crowd = 'zset',
  sadd = 'set', srem = 'set', xadd = 'stream', land = 'zset',
  ask = 'any', generation = 'read', deployment = 'read', free = 'any', mine = 'read', below = 'read', room = 'read', leased = 'read', first = 'read',
  afford = 'hash', hold = 'hash', settle = 'hash', may_begin = 'hash', in_batch = 'hash', stop_batch = 'hash',
  budgets_are = 'hash', may_spend = 'hash', charge_budget = 'hash', correct_budget = 'hash',
  may_store = 'hash', count_stored = 'hash', count_spending = 'hash', owe = 'read',
  pause = 'hash', model_pass = 'hash', model_fault = 'hash', model_works = 'hash', throttled = 'hash', healthy = 'hash', fault = 'hash', probe_back = 'hash',
}
-- The types of further keys, whose indexes are the first arguments.
local types_beside = {
  hold = { 'stream' }, settle = { 'stream', 'hash', 'hash' }, in_batch = { 'zset' }, may_store = { 'hash' },
  model_pass = { 'hash', 'hash' }, model_fault = { 'hash', 'hash' }, model_works = { 'hash', 'hash' },
}

-- The least number of arguments of each operation; pairs of them where it lists fields and values.
local least = {
  hset = 2, hset_in = 2, hdel = 1, hset_paused = 2, hincrby = 2, hset_line = 2, set = 1, del = 0, expire = 1,
  zadd = 2, zadd_in = 2, zrem = 1, zadd_all = 1, zadd_from = 2, batch_done = 2, crowd = 2, sadd = 1, srem = 1, xadd = 3,
  ask = 0, generation = 3, deployment = 1, free = 0, mine = 1, below = 2, room = 4, leased = 2, land = 10, first = 1, afford = 1, hold = 5,
  budgets_are = 2, may_spend = 6, charge_budget = 5, correct_budget = 3, count_spending = 3, settle = 10,
  may_begin = 2, in_batch = 4, stop_batch = 1, may_store = 4, count_stored = 3, pause = 2, healthy = 0, fault = 4,
  probe_back = 1, throttled = 4, model_pass = 4, model_fault = 7, model_works = 4, owe = 9,
}

-- 1. Checks. Nothing is written before all of them pass.
-- Cache of types, because several operations name the same key.
local found_types = {}
local function type_found(key)
  local found = found_types[key] or redis.call('TYPE', key).ok
  found_types[key] = found
  return found
end
-- Where no breaker of a model has state, its passes and successes change nothing.
local function is_skipped(name, key)
  return (name == 'model_pass' or name == 'model_works') and type_found(key) == 'none'
end
local known = redis.call('HMGET', KEYS[1], 'rev', 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7')
local revision = known[1] or ''
for slot = 2, 9 do
  if known[slot] == ARGV[1] then
    return reply('repeated', revision)
  end
end
if revision ~= ARGV[2] or (ARGV[3] ~= '' and known[2 + tonumber(revision) % 8] ~= ARGV[3]) then
  return reply('stale', revision)
end
if ARGV[4] ~= '' and now > tonumber(ARGV[4]) then
  return reply('too_late')
end

-- The types of events that the endpoints of a tenant hear of, read once; which rows are owed, by the position of their operation.
local subscriptions = {}
local function hears(subscribed, type)
  if not subscriptions[subscribed] then
    subscriptions[subscribed] = {}
    for _, field in ipairs(redis.call('HKEYS', subscribed)) do
      subscriptions[subscribed][field] = true
    end
  end
  return subscriptions[subscribed][type]
end
local is_heard = {}
-- What `hset_paused` writes, by the position of the operation: the pause clock of the account, and of pauses by hand.
local paused_for = {}
-- Of these also programs hear that follow the events of the tenant.
local is_followed_type = { ['credits.low'] = true, ['budget.alert'] = true }

local at = 12
while at <= #ARGV do
  local name, key, count = ARGV[at], KEYS[tonumber(ARGV[at + 1])], tonumber(ARGV[at + 2])
  local wanted = type_of[name]
  if not wanted then
    return redis.error_reply('ERR commit: there is no operation ' .. name)
  end
  if not key or not count or count < least[name] or at + 2 + count > #ARGV then
    return redis.error_reply('ERR commit: ' .. name .. ' is incomplete')
  end
  -- Reading the record has shown its type.
  if wanted ~= 'any' and wanted ~= 'read' and key ~= KEYS[1] then
    local found = type_found(key)
    if found ~= 'none' and found ~= wanted then
      return redis.error_reply('WRONGTYPE ' .. name .. ' on a ' .. found)
    end
  end
  if name == 'hset_paused' then
    -- Read here, where Redis refuses another type before anything is written.
    paused_for[at] = pause_clock(KEYS[2], now) + manual_clock(KEYS[tonumber(ARGV[at + 3])], { unpack(ARGV, at + 5, at + 2 + count) }, now)
  end
  if name == 'crowd' then
    local found = type_found(KEYS[2])
    if found ~= 'none' and found ~= 'hash' then
      return redis.error_reply('WRONGTYPE the account is a ' .. found)
    end
  end
  if types_beside[name] and not is_skipped(name, key) then
    for i, also in ipairs(types_beside[name]) do
      local beside = KEYS[tonumber(ARGV[at + 2 + i])]
      local is = beside and type_found(beside) or 'none'
      if is ~= 'none' and is ~= also then
        return redis.error_reply('WRONGTYPE ' .. name .. ' beside a ' .. is)
      end
    end
  end
  if name == 'generation' then
    local held = redis.call('HMGET', key, 'id', 'open:' .. ARGV[at + 4], 'replid', 'began')
    if held[1] ~= ARGV[at + 3] or not held[2] or is_another(held[3], replication_id()) then
      return reply('closed', ARGV[at + 4])
    end
    if count > 3 and not (held[4] and tonumber(ARGV[at + 5]) > tonumber(held[4])) then
      for i = at + 6, at + 2 + count do
        if redis.call('HEXISTS', key, 'open:' .. ARGV[i]) == 0 then
          return reply('closed', ARGV[i])
        end
      end
    end
  end
  if name == 'ask' then
    return reply('allowed')
  end
  if name == 'deployment' and redis.call('HGET', key, 'id') ~= ARGV[at + 3] then
    return reply('lost')
  end
  if name == 'free' and redis.call('EXISTS', key) == 1 then
    return reply('taken', redis.call('GET', key))
  end
  if name == 'mine' then
    local holder = redis.call('GET', key)
    if holder and holder ~= ARGV[at + 3] then
      return reply('taken', holder)
    end
  end
  if name == 'below' then
    if redis.call('ZCARD', key) + tonumber(ARGV[at + 4]) > tonumber(ARGV[at + 3]) then
      return reply('full', ARGV[at + 3])
    end
    found_types[key] = 'zset'
  end
  if name == 'leased' then
    local place = redis.call('HGET', key, ARGV[at + 3])
    if not place or string.match(place, '^%S+ (%S+)') ~= ARGV[at + 4] then
      return reply('unleased')
    end
  end
  if name == 'room' then
    local order = { flight = key, limits = KEYS[tonumber(ARGV[at + 3])], pauses = KEYS[tonumber(ARGV[at + 4])] }
    if not order.limits or not order.pauses then
      return redis.error_reply('ERR commit: room is incomplete')
    end
    local blocked = blocking_scope(order, { unpack(ARGV, at + 6, at + 2 + count) }, ARGV[at + 5])
    if blocked then
      return reply('blocked', blocked)
    end
  end
  if name == 'land' then
    -- Without a parked lane nothing of the order changes.
    local parked = type_found(KEYS[tonumber(ARGV[at + 10])])
    if parked ~= 'none' then
      for i, also in ipairs({ 'zset', 'zset', 'hash', 'zset', 'zset', 'hash', 'hash', 'zset' }) do
        local found = type_found(KEYS[tonumber(ARGV[at + 2 + i])])
        if found ~= 'none' and found ~= also then
          return redis.error_reply('WRONGTYPE land beside a ' .. found)
        end
      end
    end
  end
  if name == 'first' and redis.call('ZRANGE', key, '0', '0')[1] ~= ARGV[at + 3] then
    return reply('crowded', 'sequence')
  end
  if name == 'afford' then
    local missing = shortfall(key, tonumber(ARGV[at + 3]))
    if missing > 0 then
      return reply('short', whole(missing))
    end
    if is_beyond(key, tonumber(ARGV[at + 3])) then
      return reply('beyond')
    end
  end
  if name == 'budgets_are' then
    for i = at + 3, at + 2 + count, 2 do
      if (redis.call('HGET', key, ARGV[i]) or '') ~= ARGV[i + 1] then
        return reply('budgets_changed')
      end
    end
  end
  if name == 'may_spend' then
    local id, subject, amount, limit = unpack(ARGV, at + 3, at + 6)
    if now < tonumber(ARGV[at + 7]) or now >= tonumber(ARGV[at + 8]) then
      return reply('budgets_changed')
    end
    local used = budget_used(key, subject)
    if limit ~= '' and used + tonumber(amount) > tonumber(limit) then
      return reply('over_budget', id .. ' ' .. whole(used) .. ' ' .. subject)
    end
  end
  if name == 'may_begin' then
    local refusal, reason = batch_refuses(key, tonumber(ARGV[at + 3]), ARGV[at + 4] == '1')
    if refusal == 'stopped' then
      return reply('batch_stopped', reason)
    elseif refusal then
      return reply('crowded', 'max_spend')
    end
  end
  if name == 'may_store' then
    local tenants = KEYS[tonumber(ARGV[at + 3])]
    local limit, most, used = stored_beyond(key, tenants, ARGV[at + 4], 1, ARGV[at + 5], ARGV[at + 6])
    if limit then
      return reply('over_quota', limit .. ' ' .. most .. ' ' .. used)
    end
  end
  if name == 'owe' then
    local due, subscribed = KEYS[tonumber(ARGV[at + 3])], KEYS[tonumber(ARGV[at + 4])]
    if not due or not subscribed then
      return redis.error_reply('ERR commit: owe is incomplete')
    end
    local is_followed = is_followed_type[ARGV[at + 5]] and redis.call('PUBSUB', 'NUMSUB', subscribed)[2] > 0
    if ARGV[at + 6] == '1' or is_followed or hears(subscribed, ARGV[at + 5]) then
      for _, outbox in ipairs({ { key, 'hash' }, { due, 'zset' } }) do
        local found = type_found(outbox[1])
        if found ~= 'none' and found ~= outbox[2] then
          return redis.error_reply('WRONGTYPE owe on a ' .. found)
        end
      end
      is_heard[at] = true
    end
  end
  at = at + 3 + count
end

local rate_plan = { rate = tonumber(ARGV[5]), burst = tonumber(ARGV[6]), quiet = tonumber(ARGV[9]), doubling = tonumber(ARGV[10]) }
local next_arrival
if ARGV[11] == '1' then
  local account =
    redis.call('HMGET', KEYS[2], 'paused_until', 'next_arrival', 'half_open', 'probe', 'ramp_from', unpack(RATE_FIELDS))
  local paused_until = tonumber(account[1] or '0')
  if paused_until > now then
    return reply('paused', whole(paused_until - now))
  end
  if account[3] and not account[4] then
    return reply('probing')
  end
  local rate, burst, _, base = learned_rate(account_rate(account, 6), rate_plan, now)
  local interval = create_interval(rate, base)
  local tolerance = interval * (burst - 1)
  -- No token can have moved it this far: the clock was set back. One create passes, the others come at the rate.
  local plausible = tolerance + 10 * interval
  -- After the circuit breaker closed, the rate ramps up from a tenth to the full rate.
  local ramped = now - tonumber(account[5] or '0')
  local ramp = tonumber(ARGV[7])
  if ramped < ramp then
    interval = interval / math.max(0.1, ramped / ramp)
  end
  -- GCRA: each token moves the theoretical arrival time by one interval; it may run ahead of now by the tolerance.
  local arrival = math.max(tonumber(account[2] or '0'), now_us)
  if arrival > now_us + plausible then
    arrival = now_us + tolerance
  end
  local early = arrival - tolerance - now_us
  if early > 0 then
    return reply('limited', whole(math.ceil(early / 1000)) .. ' ' .. whole(math.ceil(interval / 1000)))
  end
  next_arrival = arrival + interval
end

-- 2. Writes.
if next_arrival then
  redis.call('HSET', KEYS[2], 'next_arrival', whole(next_arrival))
  if redis.call('HDEL', KEYS[2], 'probe') == 1 then
    redis.call('HSET', KEYS[2], 'probe_lease', whole(now + tonumber(ARGV[8])), 'probe_holder', ARGV[1])
  end
end

local next_revision = tonumber(revision == '' and '0' or revision) + 1
-- Fields of the record and members of sorted sets are collected, and written with one command for each key. No commit adds and
-- removes the same member.
local fields = { 'rev', whole(next_revision), 'c' .. whole(next_revision % 8), ARGV[1] }
local function write_fields()
  if #fields > 0 then
    redis.call('HSET', KEYS[1], unpack(fields))
    fields = {}
  end
end
local function set_fields(key, ...)
  if key ~= KEYS[1] then
    return redis.call('HSET', key, ...)
  end
  for _, text in ipairs({ ... }) do
    fields[#fields + 1] = text
  end
end
local members = { ZADD = {}, ZREM = {} }
local function collect(command, key, ...)
  local found = members[command][key] or {}
  members[command][key] = found
  for _, text in ipairs({ ... }) do
    found[#found + 1] = text
  end
end
local function write_members()
  for _, command in ipairs({ 'ZADD', 'ZREM' }) do
    for key, found in pairs(members[command]) do
      for from = 1, #found, 1000 do
        redis.call(command, key, unpack(found, from, math.min(from + 999, #found)))
      end
    end
    members[command] = {}
  end
end
-- Operations that only add to what is collected.
local collects = {
  hset = true, hset_in = true, hset_paused = true, hset_line = true, zadd = true, zadd_in = true, zadd_all = true, zadd_from = true,
  zrem = true,
}

local detail
local is_batch_done = false
-- What `settle` captured and could not collect, micro-credits.
local captured_now, uncollected_now = 0, 0
local function keys_at(...)
  local names = {}
  for i, index in ipairs({ ... }) do
    names[i] = KEYS[tonumber(index)] or false
  end
  return unpack(names)
end
local function breaker_at(key, pauses, clocks)
  return { breakers = key, pauses = KEYS[tonumber(pauses)], clocks = KEYS[tonumber(clocks)] }
end
at = 12
while at <= #ARGV do
  local name, key, count = ARGV[at], KEYS[tonumber(ARGV[at + 1])], tonumber(ARGV[at + 2])
  local first, second = ARGV[at + 3], ARGV[at + 4]
  if key == KEYS[1] and not collects[name] then
    write_fields()
  end
  if is_skipped(name, key) then
    -- Nothing to write.
  elseif name == 'hset' then
    set_fields(key, unpack(ARGV, at + 3, at + 2 + count))
  elseif name == 'hset_in' then
    set_fields(key, first, whole(now + tonumber(second)))
  elseif name == 'hdel' then
    redis.call('HDEL', key, unpack(ARGV, at + 3, at + 2 + count))
  elseif name == 'hincrby' then
    redis.call('HINCRBY', key, first, second)
  elseif name == 'hset_paused' then
    detail = whole(paused_for[at])
    set_fields(key, second, detail)
  elseif name == 'pause' then
    pause_creation(key, now, tonumber(first), second)
    redis.call('HDEL', key, 'probe_lease')
  elseif name == 'model_pass' then
    model_pass(breaker_at(key, first, second), ARGV[at + 5], now, tonumber(ARGV[at + 6]))
  elseif name == 'model_works' then
    model_works(breaker_at(key, first, second), ARGV[at + 5], now, tonumber(ARGV[at + 6]))
  elseif name == 'model_fault' then
    local sent, limit, pause, longest = unpack(ARGV, at + 6, at + 9)
    model_fault(breaker_at(key, first, second), ARGV[at + 5], now, tonumber(sent), tonumber(limit), tonumber(pause), tonumber(longest))
  elseif name == 'throttled' then
    local account = account_rate(redis.call('HMGET', key, unpack(RATE_FIELDS)), 1)
    local stated = { rate = tonumber(ARGV[at + 5]), burst = tonumber(ARGV[at + 6]) }
    local changes, is_probe = lower_rate(account, rate_plan, stated, tonumber(second), tonumber(first), now)
    for field, value in pairs(changes) do
      if value then
        redis.call('HSET', key, field, type(value) == 'number' and string.format('%.17g', value) or value)
      else
        redis.call('HDEL', key, field)
      end
    end
    redis.call('HINCRBY', key, 'throttled', 1)
    if is_probe then
      redis.call('HINCRBY', key, 'throttled_probing', 1)
    end
  elseif name == 'healthy' then
    local trouble = redis.call('HMGET', key, 'half_open', 'faults', 'trips', 'probe')
    if trouble[1] or trouble[2] or trouble[3] or trouble[4] then
      if close_trip(key, now) then
        redis.call('HSET', key, 'ramp_from', whole(now))
      end
      redis.call('HDEL', key, 'faults', 'trips', 'probe')
    end
  elseif name == 'probe_back' then
    -- Only for its own lease: by now another create may hold it.
    if redis.call('HGET', key, 'probe_holder') == first then
      redis.call('HDEL', key, 'probe_lease', 'probe_holder')
    end
  elseif name == 'fault' then
    local faults = redis.call('HINCRBY', key, 'faults', 1)
    -- A fault during the pause of a tripped breaker comes from a create that was in flight when it tripped, and is ignored.
    local half_open = redis.call('HEXISTS', key, 'half_open') == 1
    local paused = tonumber(redis.call('HGET', key, 'paused_until') or '0') > now
    if (half_open and not paused) or (not half_open and faults >= tonumber(first)) then
      trip(key, now, tonumber(second), tonumber(ARGV[at + 5]), ARGV[at + 6])
    end
  elseif name == 'crowd' then
    write_members()
    if redis.call('ZCARD', key) >= tonumber(first) and redis.call('HEXISTS', KEYS[2], 'half_open') == 0 then
      trip(KEYS[2], now, tonumber(second), tonumber(second), 'upstream')
    end
  elseif name == 'hset_line' then
    set_fields(key, first, whole(now) .. ' ' .. second)
  elseif name == 'set' then
    redis.call('SET', key, first)
  elseif name == 'del' then
    redis.call('DEL', key)
  elseif name == 'expire' then
    redis.call('PEXPIRE', key, first)
    members.ZADD[key], members.ZREM[key] = nil, nil
  elseif name == 'zadd' then
    collect('ZADD', key, first, second)
  elseif name == 'zadd_in' then
    for i = at + 4, at + 2 + count do
      collect('ZADD', key, whole(now + tonumber(first)), ARGV[i])
    end
  elseif name == 'zadd_all' then
    for i = at + 3, at + 2 + count do
      collect('ZADD', key, '0', ARGV[i])
    end
  elseif name == 'zadd_from' then
    for i = at + 4, at + 2 + count do
      collect('ZADD', key, whole(tonumber(first) + i - at - 4), ARGV[i])
    end
  elseif name == 'hold' then
    local ledger = keys_at(first)
    for i = at + 5, at + 2 + count, 3 do
      local more = { 'job', ARGV[i + 1], 'batch', second }
      if ARGV[i + 2] ~= '' then
        more[5], more[6] = 'budgets', ARGV[i + 2]
      end
      hold_credit(key, ledger, tonumber(ARGV[i]), more)
    end
  elseif name == 'count_spending' then
    count_spending(key, ARGV[at + 5], tonumber(second), captured_now, uncollected_now)
    redis.call('PEXPIRE', key, first)
  elseif name == 'charge_budget' then
    charge_budget(key, first, second, tonumber(ARGV[at + 5]), ARGV[at + 6], ARGV[at + 7], now)
  elseif name == 'correct_budget' then
    correct_budget(key, first, second, tonumber(ARGV[at + 5]), captured_now)
  elseif name == 'settle' then
    local ledger, spending, batch = keys_at(first, second, ARGV[at + 5])
    local kind, held, actual = ARGV[at + 6], tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8])
    local more, label = { 'job', ARGV[at + 9], 'batch', ARGV[at + 10] }, ARGV[at + 11]
    local captured, uncollected = 0, 0
    if kind == 'capture' then
      captured, uncollected = capture_credit(key, ledger, held, actual, more)
      count_spending(spending, label, held, captured, uncollected)
    else
      release_credit(key, ledger, held, more)
    end
    set_fields(KEYS[1], 'captured', whole(captured), 'uncollected', whole(uncollected))
    if batch then
      redis.call('HINCRBY', batch, 'captured', whole(captured))
      redis.call('HINCRBY', batch, 'uncollected', whole(uncollected))
      redis.call('HINCRBY', batch, 'held', whole(-held))
      redis.call('HINCRBY', batch, 'committed', whole(captured - (ARGV[at + 12] == '1' and held or 0)))
    end
    captured_now, uncollected_now = captured, uncollected
    detail = whole(captured) .. ' ' .. whole(uncollected)
  elseif name == 'count_stored' then
    -- The job's own note of what it counts makes the change of the sum exact, also for records of an earlier release.
    local counted = redis.call('HMGET', KEYS[1], 'counted_bytes', 'counted_files')
    local bytes, files = tonumber(second), tonumber(ARGV[at + 5])
    add_stored(key, first, bytes - tonumber(counted[1] or '0'), files - tonumber(counted[2] or '0'))
    set_fields(KEYS[1], 'counted_bytes', whole(bytes), 'counted_files', whole(files))
  elseif name == 'in_batch' then
    is_batch_done = move_in_batch(key, KEYS[tonumber(first)], second, ARGV[at + 5], ARGV[at + 6], now)
  elseif name == 'stop_batch' then
    stop_batch(key, first)
  elseif name == 'batch_done' then
    if is_batch_done then
      redis.call('ZADD', key, whole(now + tonumber(first)), second)
    end
  elseif name == 'owe' then
    local when = ARGV[at + 7]
    if is_heard[at] and (when == '' or (when == 'batch_done' and is_batch_done) or (when == 'credits_low' and is_low) or reached[when]) then
      redis.call('HSET', key, ARGV[at + 8], ARGV[at + 9])
      collect('ZADD', KEYS[tonumber(first)], whole(now + tonumber(ARGV[at + 10])), ARGV[at + 11])
      owed[#owed + 1] = ARGV[at + 8]
    end
  elseif name == 'zrem' then
    collect('ZREM', key, first)
  elseif name == 'land' then
    for i = at + 12, at + 2 + count do
      collect('ZREM', key, ARGV[i] .. ' ' .. ARGV[at + 11])
    end
    local line, lanes, heads, interactive, batch, shares, places, parked = keys_at(unpack(ARGV, at + 3, at + 10))
    local order = {
      line = line, lanes = lanes, heads = heads, i = interactive, b = batch, shares = shares, places = places, parked = parked,
    }
    if type_found(parked) ~= 'none' then
      woken = woken + make_room(order, { unpack(ARGV, at + 12, at + 2 + count) })
    end
  elseif name == 'sadd' then
    redis.call('SADD', key, first)
  elseif name == 'srem' then
    redis.call('SREM', key, first)
  elseif name == 'xadd' then
    redis.call('XADD', key, 'MAXLEN', '~', first, '*', unpack(ARGV, at + 4, at + 2 + count))
  end
  at = at + 3 + count
end
write_fields()
write_members()
return reply('applied', detail)
