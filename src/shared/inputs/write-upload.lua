--[[
  Creates or completes the record of an upload, within the limits of its tenant. An upload counts from its completion to the
  removal of its record (remove-upload.lua); the counter changes in the same script as the record.

  Input:   KEYS[1] hash: the upload, KEYS[2] sorted set: uploads by the time of the next look, ms
           KEYS[3] hash: what tenants have stored (limits/stored.lua)
           KEYS[4] hash: tenants, `<tenant>.<field>`
           KEYS[5] sorted set: `<tenant>/<id>` of each upload with its own retention
           ARGV[1] its id, ARGV[2] ms of its own retention while no job uses it, ARGV[3] the state that it must be in, '' for none;
           ARGV[4] ms that it is kept at least, ARGV[5] its tenant, ARGV[6] its bytes, 0 before they arrive,
           ARGV[7] and ARGV[8] default limits of bytes and files, '' for none, ARGV[9..] fields and values
  Output:  the fields of the upload; none when it was in another state; { quota, <name of the limit>, limit, <limit>, used,
           <usage> } when it would exceed a limit, and nothing was written
]]
if (redis.call('HGET', KEYS[1], 'state') or '') ~= ARGV[3] then
  return {}
end
local tenant, bytes = ARGV[5], tonumber(ARGV[6])
-- Before the bytes come, there must be room for one.
local name, limit, used = stored_beyond(KEYS[3], KEYS[4], tenant, math.max(bytes, 1), ARGV[7], ARGV[8])
if name then
  return { 'quota', name, 'limit', limit, 'used', used }
end
local now = clock_ms()
if ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'created_at', string.format('%.0f', now))
else
  redis.call('HSET', KEYS[1], 'counted', '1')
  add_stored(KEYS[3], tenant, bytes, 1)
  if tonumber(ARGV[2]) > 0 then
    redis.call('ZADD', KEYS[5], '0', tenant .. '/' .. ARGV[1])
  end
end
redis.call('HSET', KEYS[1], 'expires_at', string.format('%.0f', now + tonumber(ARGV[2])), unpack(ARGV, 9))
local stays = math.max(tonumber(ARGV[2]), tonumber(ARGV[4]))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + stays), ARGV[1])
return redis.call('HGETALL', KEYS[1])
