--[[
  Removes the record of files that outlived their job, after the files, and subtracts them from what their tenant has stored
  (limits/stored.lua).

  Input:   KEYS[1] string: the record, KEYS[2] sorted set: retention, KEYS[3] hash: what tenants have stored
           ARGV[1] the record as it was read, '' for none, ARGV[2] its member of the retention index, ARGV[3] the tenant,
           ARGV[4] and ARGV[5] bytes and files that the record counts
  Output:  1; 0 when the record has changed since it was read, and nothing was removed
]]
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if redis.call('DEL', KEYS[1]) == 1 and tonumber(ARGV[5]) > 0 then
  add_stored(KEYS[3], ARGV[3], -tonumber(ARGV[4]), -tonumber(ARGV[5]))
end
redis.call('ZREM', KEYS[2], ARGV[2])
return 1
