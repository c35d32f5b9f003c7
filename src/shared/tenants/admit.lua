--[[
  Admits requests: identifies the caller and takes a token of the tenant's requests per minute for each.

  Input:
    KEYS[1] hash: the API key; a key that never exists when the request has no API key
    KEYS[2] hash: tenants, `<tenant>.<field>`
    KEYS[3] hash of a job token's budget: tenant -> theoretical arrival time, us; KEYS[4] without a job token
    KEYS[4] hash of the tenants' budgets: the same
    KEYS[5] hash: the deployment

    ARGV[1] SHA-256 of the presented key, hex; '' when our own signature names the key
    ARGV[2] the tenant of a request without an API key; else ''
    ARGV[3] default requests per minute of a tenant
    ARGV[4] requests per minute of an additional budget (KEYS[3], which then expires); '': only the tenant's budget; '0': no
            budget
    ARGV[5] the tenant that always exists
    ARGV[6] number of concurrent requests
    ARGV[7] id of the caller's deployment; '': any

  Output: { status, ms to wait, tenant, scopes, requests per minute, the tenant's own limit of queued jobs or '',
            the tenant's own retention clocks (payload, job and files in s, `-` for none), number of admitted requests,
            the narrower budget: tenant | token, its requests per minute, the tenant's own limit of jobs of a batch or '', of the
            narrower budget the requests that may follow at once, and the ms until its burst is whole again }
    admitted | unknown | revoked | expired | suspended | limited | lost; the ms apply to the first request not admitted.
    lost: Redis holds no deployment, or another one, so a key that was not found may still be valid
]]
local now_us = clock_us()
local now = math.floor(now_us / 1000)

local tenant, scopes, per_minute, queued, keep, batch = ARGV[2], '', '', '', '- - -', ''
local count = tonumber(ARGV[6])
local function reply(status, wait, room, limited_by, rate, free, whole_in)
  return {
    status, wait or 0, tenant, scopes, per_minute, queued, keep, room or 0, limited_by or 'tenant', rate or per_minute, batch,
    free or 0, whole_in or 0,
  }
end

if ARGV[7] ~= '' and redis.call('HGET', KEYS[5], 'id') ~= ARGV[7] then
  return reply('lost')
end

-- 1. The key. No timing leak: Lua compares strings by identity, and a digest reveals nothing about the secret, so a closer
-- guess does not take longer. An unknown id takes the same path as a known one.
if tenant == '' then
  local key = redis.call('HMGET', KEYS[1], 'digest', 'tenant', 'scopes', 'revoked_at', 'expires_at', 'retires_at', 'last_used_at')
  local digest = key[1] or string.rep('0', 64)
  local presented = ARGV[1] == '' and digest or ARGV[1]
  if digest ~= presented or not key[1] then
    return reply('unknown')
  end
  tenant, scopes = key[2], key[3]
  if key[4] ~= '' then
    return reply('revoked')
  end
  for _, ends in ipairs({ key[5], key[6] }) do
    if ends ~= '' and tonumber(ends) <= now then
      return reply('expired')
    end
  end
  if now - (tonumber(key[7]) or 0) >= 60000 then
    redis.call('HSET', KEYS[1], 'last_used_at', string.format('%.0f', now))
  end
end

-- 2. The tenant.
local fields = redis.call('HMGET', KEYS[2], tenant .. '.created_at', tenant .. '.suspended_at',
  tenant .. '.requests_per_minute', tenant .. '.queued_jobs',
  tenant .. '.keep_payload', tenant .. '.keep_job', tenant .. '.keep_files', tenant .. '.batch_jobs')
if not fields[1] and tenant ~= ARGV[5] then
  return reply('unknown')
end
per_minute = (fields[3] and fields[3] ~= '') and fields[3] or ARGV[3]
queued = fields[4] or ''
batch = fields[8] or ''
local clocks = {}
for i = 5, 7 do
  clocks[i - 4] = (fields[i] and fields[i] ~= '') and fields[i] or '-'
end
keep = table.concat(clocks, ' ')
if fields[2] and fields[2] ~= '' then
  return reply('suspended')
end

-- 3. The budgets (GCRA) with a burst of ten seconds' worth. A job token takes from its own budget and from the tenant's.
if ARGV[4] == '0' then
  return reply('admitted', 0, count)
end
local function budget(key, rate)
  local interval = 60000000 / tonumber(rate)
  local tolerance = interval * (math.max(1, math.ceil(tonumber(rate) / 6)) - 1)
  local arrival = math.max(tonumber(redis.call('HGET', key, tenant) or '0'), now_us)
  -- No token can have moved the arrival time this far: the clock was set back, or the limit was raised. One request passes,
  -- the others come at the rate.
  if arrival > now_us + tolerance + interval then
    arrival = now_us + tolerance
  end
  local free = math.max(0, math.floor((now_us + tolerance - arrival) / interval) + 1)
  return {
    key = key, interval = interval, tolerance = tolerance, arrival = arrival, free = free, room = math.min(count, free), rate = rate,
  }
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
local whole_in = math.ceil((narrow.arrival + room * narrow.interval - now_us) / 1000)
if room < 1 then
  return reply('limited', wait, 0, limited_by, narrow.rate, 0, whole_in)
end
for _, one in ipairs(budgets) do
  redis.call('HSET', one.key, tenant, string.format('%.0f', one.arrival + room * one.interval))
end
if ARGV[4] ~= '' then
  redis.call('PEXPIRE', KEYS[3], 120000)
end
return reply('admitted', wait, room, limited_by, narrow.rate, narrow.free - room, whole_in)
