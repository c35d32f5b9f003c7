--[[
  Pauses creation for an account.

  Input:   KEYS[1] the account's hash, ARGV[1] ms, ARGV[2] reason
]]
pause_creation(KEYS[1], clock_ms(), tonumber(ARGV[1]), ARGV[2])
return 1
