--[[
  The learned rate of creates, included by scripts that take a token, hear of a 429 or show the rate. Functions of what the
  account's hash holds and of the time; they call no command.

  The configured budget is the ceiling. A 429 lowers the rate to what it states. Without a figure, or with one that is no lower than
  the ceiling, the first one lowers it by a twentieth, because requests that take unequal times meet a full limit now and then; a further
  one halves it, or lowers it to the last good rate while the rate was being raised. After `quiet` ms without a 429 the rate doubles, and again each `doubling` ms. When a 429
  meets the rate while it rises, it first rises by a tenth of the last good rate within `quiet` ms, and doubles if no 429 comes
  then, because the limit has been lifted.

  Fields of the account's hash, here `account`:
    rate         creates per minute that the last 429 left; absent: the ceiling
    rate_from    ms since when there has been no 429, and no pause for one
    rate_noted   ms of the last 429 that changed the rate
    rate_burst   burst that it stated
    rate_steps   the rate first rises by a tenth
    ceiling      creates per minute that an operator set instead of the configured budget
  `plan`: { rate, burst } as configured, and the times quiet, doubling
]]
local RATE_FIELDS = { 'rate', 'rate_from', 'rate_noted', 'rate_burst', 'rate_steps', 'ceiling' }
local function account_rate(values, first)
  local account = {}
  for i, field in ipairs(RATE_FIELDS) do
    account[field] = values[first + i - 1] or nil
  end
  return account
end

local function largest_burst(plan, rate)
  return math.max(1, math.floor(plan.burst * rate / plan.rate + 1e-9))
end

-- Creates per minute now, the largest burst, the ceiling, and the rate that the last 429 left (below the ceiling), or nil.
local function learned_rate(account, plan, now)
  local ceiling = tonumber(account.ceiling or plan.rate)
  local base = tonumber(account.rate or ceiling)
  if base >= ceiling then
    return ceiling, largest_burst(plan, ceiling), ceiling, nil
  end
  local rate, stated = base, tonumber(account.rate_burst or '')
  local rising = now - tonumber(account.rate_from) - plan.quiet
  if rising >= 0 and account.rate_steps then
    rate = base * (1 + 0.1 * math.min(1, rising / plan.quiet))
    rising = rising - plan.quiet
  end
  if rising >= 0 then
    rate, stated = rate * 2 ^ (math.floor(rising / plan.doubling) + 1), nil
  end
  rate = math.min(rate, ceiling)
  return rate, math.min(largest_burst(plan, rate), stated or math.huge), ceiling, base
end

-- Microseconds between two creates. At a rate that a 429 left they are two percent apart, because requests take unequal times.
local function create_interval(rate, base)
  return 60000000 / rate * ((base and rate <= base) and 1.02 or 1)
end

-- What a 429 of a create that was sent at `sent` changes: the new values of the fields, nil where nothing changes (false removes
-- one), and whether it met a rate below the ceiling that was being tried.
-- `stated`: { rate, burst } of its text or headers, each may be nil. `pause`: ms
local function lower_rate(account, plan, stated, sent, pause, now)
  local rate, _, ceiling, base = learned_rate(account, plan, now)
  local from = tonumber(account.rate_from or '0')
  local is_earlier = sent <= tonumber(account.rate_noted or '0')
  local is_raised = base ~= nil and rate > base
  local is_stated = stated.rate and stated.rate < ceiling
  local fields = { rate_from = math.max(from, now + pause) }
  local lower
  if is_stated then
    lower = math.min(stated.rate, rate)
  elseif is_raised and account.rate_steps and rate <= base * 1.1 then
    lower = base
  elseif rate >= ceiling then
    lower = math.max(1, 0.95 * ceiling)
  else
    lower = math.max(1, rate / 2)
  end
  -- Creates that were under way together are refused together: they lower the rate once.
  if is_earlier and not (is_stated and stated.rate < (base or ceiling)) then
    return fields, false
  end
  fields.rate, fields.rate_noted = lower, now
  fields.rate_burst = is_stated and stated.burst or false
  if is_raised and now - from < 10 * plan.quiet then
    fields.rate_steps = '1'
  elseif not base or rate >= ceiling then
    fields.rate_steps = false
  end
  return fields, base ~= nil and rate < ceiling and not is_earlier
end
