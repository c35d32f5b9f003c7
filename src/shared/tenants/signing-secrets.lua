--[[
  The signing secrets of a tenant: makes the first one, or replaces the current one.

  Input:   KEYS[1] hash: tenant -> its secrets, JSON, newest first: { key, created_at, expires_at }; times are ms in texts,
           `expires_at` is '' of the current one
           ARGV[1] the tenant, ARGV[2] a new secret, ARGV[3] ms for which a replaced secret stays valid; '' replaces none,
           ARGV[4] the most replaced secrets
  Output:  JSON, as it is now
]]
local now = clock_ms()
local written = redis.call('HGET', KEYS[1], ARGV[1])
local before = written and cjson.decode(written) or {}
-- The very command comes again, because its reply was lost.
if before[1] and (ARGV[3] == '' or before[1].key == ARGV[2]) then
  return written
end
local at = string.format('%.0f', now)
local after = { { key = ARGV[2], created_at = at, expires_at = '' } }
for _, secret in ipairs(before) do
  local grace = now + tonumber(ARGV[3])
  local ends = secret.expires_at == '' and grace or math.min(tonumber(secret.expires_at), grace)
  if ends > now and #after <= tonumber(ARGV[4]) then
    secret.expires_at = string.format('%.0f', ends)
    table.insert(after, secret)
  end
end
local text = cjson.encode(after)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text
