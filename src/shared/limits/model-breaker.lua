--[[
  Circuit breakers of models, included by scripts that change them. A model, deployment or version, here `target`, is paused after
  failures of the platform in a row. At the end of the pause one create may pass; each success doubles the number that may
  pass until the next one, and above thirty the breaker is closed. Which job passes is the order's decision, interactive ones first.

  `at`: the names of the hashes breakers, pauses and clocks (manual-clock.lua). The pause has the scope `breaker:<target>`.
  Fields of breakers: `<target> faults`, in a row; `opened`, ms; `until`, ms of the next look; `trips`; while creates are let through one
  by one, `level`, how many after a success, and `left`, how many now.
]]
local RAMP_ENDS = 30
local function pause_model(at, target, now)
  pause_scope(at.pauses, at.clocks, 'breaker:' .. target, '{"reason":"the model fails at Replicate","by":"circuit breaker"}', now)
end
local function resume_model(at, target, now)
  resume_scope(at.pauses, at.clocks, 'breaker:' .. target, now)
end

-- A create passes; `lease`: ms after which another one may, if nothing is heard of it.
local function model_pass(at, target, now, lease)
  local left = tonumber(redis.call('HGET', at.breakers, target .. ' left') or '')
  if left and left <= 1 then
    redis.call('HSET', at.breakers, target .. ' left', '0', target .. ' until', string.format('%.0f', now + lease))
    pause_model(at, target, now)
  elseif left then
    redis.call('HINCRBY', at.breakers, target .. ' left', -1)
  end
end

-- A prediction whose create was sent at `sent` failed because of the platform.
local function model_fault(at, target, now, sent, limit, first, longest)
  local state = redis.call('HMGET', at.breakers, target .. ' opened', target .. ' level', target .. ' until')
  -- Sent before the breaker opened, or while it is open: it says nothing new.
  if state[1] and (sent < tonumber(state[1]) or not state[2]) then
    return
  end
  if redis.call('HINCRBY', at.breakers, target .. ' faults', 1) < limit and not state[2] then
    return
  end
  local trips = redis.call('HINCRBY', at.breakers, target .. ' trips', 1)
  local pause = math.min(longest, first * 2 ^ math.min(trips - 1, 16))
  redis.call('HSET', at.breakers, target .. ' opened', string.format('%.0f', now), target .. ' until', string.format('%.0f', now + pause))
  redis.call('HDEL', at.breakers, target .. ' level', target .. ' left')
  pause_model(at, target, now)
end

-- A prediction whose create was sent at `sent` ended without a failure of the platform.
local function model_works(at, target, now, sent)
  local state = redis.call('HMGET', at.breakers, target .. ' faults', target .. ' opened', target .. ' level')
  if not state[2] then
    if state[1] then
      redis.call('HDEL', at.breakers, target .. ' faults')
    end
    return
  end
  if not state[3] or sent < tonumber(state[2]) then
    return
  end
  local level = 2 * tonumber(state[3])
  if level > RAMP_ENDS then
    local fields = {}
    for i, name in ipairs({ 'faults', 'opened', 'until', 'trips', 'level', 'left' }) do
      fields[i] = target .. ' ' .. name
    end
    redis.call('HDEL', at.breakers, unpack(fields))
  else
    redis.call('HSET', at.breakers, target .. ' level', level, target .. ' left', level)
    redis.call('HDEL', at.breakers, target .. ' until')
  end
  resume_model(at, target, now)
end

-- Lets one create pass for each model whose pause has ended, or of whose creates nothing was heard.
local function half_open_models(at, now)
  local all = redis.call('HGETALL', at.breakers)
  for i = 1, #all, 2 do
    local target = string.match(all[i], '^(%S+) until$')
    if target and tonumber(all[i + 1]) <= now then
      redis.call('HDEL', at.breakers, all[i])
      redis.call('HSETNX', at.breakers, target .. ' level', '1')
      redis.call('HSET', at.breakers, target .. ' left', '1')
      resume_model(at, target, now)
    end
  end
end
