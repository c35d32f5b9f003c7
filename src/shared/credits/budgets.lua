--[[
  Budgets within a commit (rules/spending-budget.ts).

  The counts of a budget in a period are a hash that expires long after the period. Its fields, each with `:<user>` where every user
  has the limit for itself: `used`, micro-credits; `alerted`, `<levels>|<the highest one that was reached>`. Without a user: `since`, ms,
  when the first job was counted; `levels`, the amounts at which it alerts, rising, separated by blanks.
]]

-- Which budgets reached a level by this commit: `budget <id> <subject>`, as operations name them.
local reached = {}

local function budget_field(name, subject)
  if subject == '' then
    return name
  end
  return name .. ':' .. subject
end

local function budget_used(count, subject)
  return tonumber(redis.call('HGET', count, budget_field('used', subject)) or '0')
end

local function watch_budget(count, id, subject, levels)
  local used = budget_used(count, subject)
  local noted = redis.call('HGET', count, budget_field('alerted', subject)) or ''
  local of, amount = string.match(noted, '^(.*)|(%d+)$')
  -- The limit was changed since: its levels are other ones.
  local before = of == levels and tonumber(amount) or -1
  local highest = before
  for level in string.gmatch(levels, '%d+') do
    if used >= tonumber(level) then
      highest = math.max(highest, tonumber(level))
    end
  end
  if highest > before then
    redis.call('HSET', count, budget_field('alerted', subject), levels .. '|' .. string.format('%.0f', highest))
    reached['budget ' .. id .. ' ' .. subject] = true
  end
end

local function charge_budget(count, id, subject, amount, keep_until, levels, now)
  redis.call('HINCRBY', count, budget_field('used', subject), string.format('%.0f', amount + 0))
  redis.call('HSETNX', count, 'since', string.format('%.0f', now))
  redis.call('HSET', count, 'levels', levels)
  redis.call('PEXPIREAT', count, keep_until)
  watch_budget(count, id, subject, levels)
end

-- Replaces what was held for a job by what was captured. Counts that have expired stay away.
local function correct_budget(count, id, subject, held, captured)
  if redis.call('EXISTS', count) == 1 then
    redis.call('HINCRBY', count, budget_field('used', subject), string.format('%.0f', captured - held + 0))
    watch_budget(count, id, subject, redis.call('HGET', count, 'levels') or '')
  end
end
