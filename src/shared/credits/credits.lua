--[[
  Credit movements within a commit. Whole micro-credits below 2^53, so that Lua's numbers are exact; stored by HINCRBY.

  An account is a hash { granted, balance, held, captured, limited, low_balance, low, exhausted }; `limited` is set by its first
  grant. `low_balance` is the threshold of the event credits.low; `low`: it was owed, or nobody heard, since the last grant
  that lifted the balance to the threshold; `exhausted`: credits.exhausted was owed since the last grant. Its ledger is an
  append-only stream: each entry contains the account as it is after the entry.
  Fields of an entry: kind, amount, granted, balance, held, captured; job and batch of hold, capture and release;
  uncollected of capture; reason of grant and adjustment.
]]
local function credit(account, field)
  return tonumber(redis.call('HGET', account, field) or '0')
end

local function is_limited(account)
  return redis.call('HEXISTS', account, 'limited') == 1
end

-- Avoids `-0`, the result of negating 0 in Lua, which Redis rejects.
local function micros(amount)
  return string.format('%.0f', amount + 0)
end

-- Whether this script took an account below its threshold.
local is_low = false
local function watch_balance(account, kind, amount, balance, threshold, limited, low)
  if limited and threshold and not low and balance < threshold then
    is_low = true
    redis.call('HSET', account, 'low', '1')
  end
  if (kind == 'grant' or kind == 'adjustment') and amount > 0 then
    redis.call('HDEL', account, 'exhausted')
    if low and (not threshold or balance >= threshold) then
      redis.call('HDEL', account, 'low')
    end
  end
end

local function enter(account, ledger, kind, amount, more)
  local after = redis.call('HMGET', account, 'granted', 'balance', 'held', 'captured', 'low_balance', 'limited', 'low')
  watch_balance(account, kind, amount, tonumber(after[2] or '0'), tonumber(after[5] or ''), after[6], after[7])
  return redis.call('XADD', ledger, '*', 'kind', kind, 'amount', micros(amount), 'granted', after[1] or '0',
    'balance', after[2] or '0', 'held', after[3] or '0', 'captured', after[4] or '0', unpack(more))
end

local function move_credit(account, field, amount)
  redis.call('HINCRBY', account, field, micros(amount))
end

-- Micro-credits missing for a hold; 0 when the balance suffices or the account is unlimited.
local function shortfall(account, amount)
  if not is_limited(account) then
    return 0
  end
  return math.max(0, amount - credit(account, 'balance'))
end

-- Whether a hold would take the account above 2^52, half of what can be counted exactly. The other half is reserved for
-- captures above their holds, which cannot be refused.
local function is_beyond(account, amount)
  local balance, held, captured = credit(account, 'balance'), credit(account, 'held'), credit(account, 'captured')
  return math.max(math.abs(balance - amount), held + amount) + captured > 2 ^ 52
end

local function hold_credit(account, ledger, amount, more)
  move_credit(account, 'balance', -amount)
  move_credit(account, 'held', amount)
  enter(account, ledger, 'hold', amount, more)
end

local function release_credit(account, ledger, held, more)
  move_credit(account, 'held', -held)
  move_credit(account, 'balance', held)
  enter(account, ledger, 'release', held, more)
end

-- `actual` nil: the price is unknown, so the hold is captured. Returns the captured and the uncollected amount.
local function capture_credit(account, ledger, held, actual, more)
  local due = actual or held
  local taken = due
  if is_limited(account) then
    taken = math.min(due, held + math.max(0, credit(account, 'balance')))
  end
  move_credit(account, 'held', -held)
  move_credit(account, 'balance', held - taken)
  move_credit(account, 'captured', taken)
  more[#more + 1] = 'uncollected'
  more[#more + 1] = micros(due - taken)
  enter(account, ledger, 'capture', taken, more)
  return taken, due - taken
end

-- Adds a charged job to the spending of a day, under a label.
local function count_spending(spending, label, held, captured, uncollected)
  redis.call('HINCRBY', spending, 'jobs:' .. label, 1)
  for name, amount in pairs({ estimated = held, captured = captured, uncollected = uncollected }) do
    redis.call('HINCRBY', spending, name .. ':' .. label, micros(amount))
  end
end
