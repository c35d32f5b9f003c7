--[[
  Ends a pause by hand, and adds its time to the clock of its scope.

  Input:   as hold.lua, without a JSON: ARGV[1] scope, ARGV[2] most entries of the log, ARGV[3..] fields of the entry
  Output:  1, or 0 when it was not paused
]]
if not resume_scope(KEYS[1], KEYS[2], ARGV[1], clock_ms()) then
  return 0
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
return 1
