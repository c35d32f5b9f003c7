--[[
  Replaces the reports of one process, and removes stale reports of other processes.

  Input:   KEYS[1] the hash of conditions (process -> `<ms> <JSON>`), ARGV[1] process, ARGV[2] JSON or '' for none,
           ARGV[3] ms until an unrepeated report is stale
  Output:  1
]]
local now = clock_ms()
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    if now - tonumber(string.match(fields[i + 1], '^%d+') or '0') > tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[1], fields[i])
    end
  end
end
return 1
