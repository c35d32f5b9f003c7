--[[
  Who asks, and one token of the tenant's requests per minute: all that a request needs to be let in.

  Input:
    KEYS[1] hash: the API key; one that is never there when none is behind the request
    KEYS[2] hash: tenants, `<tenant>.<field>`
    KEYS[3] hash of a job token's own budget: tenant -> theoretical arrival time, us; KEYS[4] without one
    KEYS[4] hash of the tenants' budgets: the same
    KEYS[5] hash: the deployment

    ARGV[1] SHA-256 of the key that was presented, hex; '' when a signature of ours has named the key
    ARGV[2] the tenant, when no API key is behind the request; ''
    ARGV[3] requests per minute of a tenant that has no limit of its own
    ARGV[4] requests per minute of a budget beside the tenant's (KEYS[3] expires then); '': only of the tenant's; '0': of
            none
    ARGV[5] the tenant that always is there
    ARGV[6] how many requests come at once
    ARGV[7] id of the deployment that the caller belongs to; '': any

  Output: { status, ms to wait, tenant, scopes, requests per minute, own limit of queued jobs or '',
            the tenant's own clocks of retention (payload, job and files in s, `-` for none), how many are let in,
            whose budget is the narrow one: tenant | token, requests per minute of that }
    admitted | unknown | revoked | expired | suspended | limited | lost; the ms are those of the first that is not let in.
    lost: Redis holds no deployment, or another one, so a key that is not found may still be right
]]
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local tenant, scopes, per_minute, queued, keep = ARGV[2], '', '', '', '- - -'
local count = tonumber(ARGV[6])
local function answer(status, wait, room, limited_by, rate)
  return { status, wait or 0, tenant, scopes, per_minute, queued, keep, room or 0, limited_by or 'tenant', rate or per_minute }
end

if ARGV[7] ~= '' and redis.call('HGET', KEYS[5], 'id') ~= ARGV[7] then
  return answer('lost')
end

-- 1. The key. Lua compares strings by identity, and a digest tells nothing of the secret: neither way takes longer for a
-- guess that is nearer. An unknown id goes the same way as a known one.
if tenant == '' then
  local key = redis.call('HMGET', KEYS[1], 'digest', 'tenant', 'scopes', 'revoked_at', 'expires_at', 'retires_at', 'last_used_at')
  local digest = key[1] or string.rep('0', 64)
  local presented = ARGV[1] == '' and digest or ARGV[1]
  if digest ~= presented or not key[1] then
    return answer('unknown')
  end
  tenant, scopes = key[2], key[3]
  if key[4] ~= '' then
    return answer('revoked')
  end
  for _, ends in ipairs({ key[5], key[6] }) do
    if ends ~= '' and tonumber(ends) <= now then
      return answer('expired')
    end
  end
  if now - (tonumber(key[7]) or 0) >= 60000 then
    redis.call('HSET', KEYS[1], 'last_used_at', string.format('%.0f', now))
  end
end

-- 2. The tenant.
local fields = redis.call('HMGET', KEYS[2], tenant .. '.created_at', tenant .. '.suspended_at',
  tenant .. '.requests_per_minute', tenant .. '.queued_jobs',
  tenant .. '.keep_payload', tenant .. '.keep_job', tenant .. '.keep_files')
if not fields[1] and tenant ~= ARGV[5] then
  return answer('unknown')
end
per_minute = (fields[3] and fields[3] ~= '') and fields[3] or ARGV[3]
queued = fields[4] or ''
local clocks = {}
for i = 5, 7 do
  clocks[i - 4] = (fields[i] and fields[i] ~= '') and fields[i] or '-'
end
keep = table.concat(clocks, ' ')
if fields[2] and fields[2] ~= '' then
  return answer('suspended')
end

-- 3. The budgets (GCRA): ten seconds' worth may come at once. A job token takes from its own and from the tenant's.
if ARGV[4] == '0' then
  return answer('admitted', 0, count)
end
local function budget(key, rate)
  local interval = 60000000 / tonumber(rate)
  local tolerance = interval * (math.max(1, math.ceil(tonumber(rate) / 6)) - 1)
  local arrival = math.max(tonumber(redis.call('HGET', key, tenant) or '0'), now_us)
  -- Further ahead than any token brought it: the clock was set back, or the limit raised. One passes, the others come at the
  -- rate.
  if arrival > now_us + tolerance + interval then
    arrival = now_us + tolerance
  end
  local room = math.max(0, math.min(count, math.floor((now_us + tolerance - arrival) / interval) + 1))
  return { key = key, interval = interval, tolerance = tolerance, arrival = arrival, room = room, rate = rate }
end
local budgets = { budget(KEYS[4], per_minute) }
if ARGV[4] ~= '' then
  budgets[2] = budget(KEYS[3], ARGV[4])
end
local narrow = budgets[1]
if budgets[2] and budgets[2].room <= narrow.room then
  narrow = budgets[2]
end
local room = narrow.room
local early = narrow.arrival + room * narrow.interval - narrow.tolerance - now_us
local wait = math.max(0, math.ceil(early / 1000))
local limited_by = narrow.key == KEYS[4] and 'tenant' or 'token'
if room < 1 then
  return answer('limited', wait, 0, limited_by, narrow.rate)
end
for _, one in ipairs(budgets) do
  redis.call('HSET', one.key, tenant, string.format('%.0f', one.arrival + room * one.interval))
end
if ARGV[4] ~= '' then
  redis.call('PEXPIRE', KEYS[3], 120000)
end
return answer('admitted', wait, room, limited_by, narrow.rate)
