--[[
  Opens the recovery gate of an account in a generation, if it is still the one that this server holds.

  Input:   KEYS[1] the generation's hash, ARGV[1] its id, ARGV[2] '1': only checks, ARGV[3] the account
  Output:  1, or 0 when the server holds another generation by now
]]
local found = redis.call('HMGET', KEYS[1], 'id', 'replid')
if found[1] ~= ARGV[1] or is_another(found[2], replication_id()) then
  return 0
end
if ARGV[2] ~= '1' then
  redis.call('HSET', KEYS[1], 'open', '1', 'open:' .. ARGV[3], '1')
  redis.call('HDEL', KEYS[1], 'lost_at', 'since:' .. ARGV[3])
end
return 1
