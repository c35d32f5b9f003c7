--[[
  Changes of a commit in the batch of its job: a hash { total, one count for each status, held, committed, captured,
  uncollected, max_spend, stop_rate, stopped, completed_at }. `committed`: captured plus held for started jobs.
]]
local function batch_count(batch, field)
  return tonumber(redis.call('HGET', batch, field) or '0')
end

-- Stops a batch; the first reason counts.
local function stop_batch(batch, reason)
  redis.call('HSETNX', batch, 'stopped', reason)
end

-- Number of succeeded and failed jobs from which the failure rate is judged; a smaller batch is judged at half of its jobs.
local JUDGED_FROM = 5

-- Moves one job of the batch from a status to another. Returns whether the batch is complete.
local function move_in_batch(batch, live, job, from, to, now)
  redis.call('HINCRBY', batch, from, -1)
  redis.call('HINCRBY', batch, to, 1)
  if to ~= 'succeeded' and to ~= 'failed' and to ~= 'canceled' then
    return false
  end
  redis.call('ZREM', live, job)
  local succeeded, failed = batch_count(batch, 'succeeded'), batch_count(batch, 'failed')
  local ended, total = succeeded + failed, batch_count(batch, 'total')
  local rate = redis.call('HGET', batch, 'stop_rate')
  if rate and failed > 0 and ended >= math.min(JUDGED_FROM, math.ceil(total / 2)) and failed / ended >= tonumber(rate) then
    stop_batch(batch, 'failure_rate')
  end
  if ended + batch_count(batch, 'canceled') < total then
    return false
  end
  redis.call('HSET', batch, 'completed_at', string.format('%.0f', now))
  return true
end

-- Why the batch lets no further job begin: 'stopped' with its reason, or 'spent' while a release may still make room.
local function batch_refuses(batch, held, is_first)
  local stopped = redis.call('HGET', batch, 'stopped')
  if stopped then
    return 'stopped', stopped
  end
  local limit = redis.call('HGET', batch, 'max_spend')
  if not limit or not is_first then
    return nil
  end
  if batch_count(batch, 'captured') + held > tonumber(limit) then
    return 'stopped', 'max_spend'
  end
  if batch_count(batch, 'committed') + held > tonumber(limit) then
    return 'spent'
  end
  return nil
end
