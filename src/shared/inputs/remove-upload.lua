--[[
  Removes the record of an upload and everything that names it, and subtracts it from what its tenant has stored
  (limits/stored.lua).

  KEYS[1] hash: the upload, KEYS[2] set: its jobs, KEYS[3] sorted set: uploads by the time of the next look,
  KEYS[4] hash: what tenants have stored, KEYS[5] sorted set: `<tenant>/<id>` of the uploads of clients
  ARGV[1] its id
]]
local fields = redis.call('HMGET', KEYS[1], 'tenant', 'bytes', 'counted')
if fields[3] == '1' then
  add_stored(KEYS[4], fields[1], -tonumber(fields[2]), -1)
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
if fields[1] then
  redis.call('ZREM', KEYS[5], fields[1] .. '/' .. ARGV[1])
end
return 1
