--[[
  Pauses creation for an account.

  Input:   KEYS[1] the account's hash, ARGV[1] ms, ARGV[2] reason
]]
local time = redis.call('TIME')
pause_creation(KEYS[1], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), tonumber(ARGV[1]), ARGV[2])
return 1
