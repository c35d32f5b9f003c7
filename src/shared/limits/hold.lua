--[[
  Pauses creation for a scope by hand, or changes the reason of such a pause.

  Input:   KEYS[1] pauses (hash), KEYS[2] their clocks (manual-clock.lua), KEYS[3] log of operators' changes (stream),
           ARGV[1] scope, ARGV[2] JSON of the pause without its time, ARGV[3] most entries of the log, ARGV[4..] fields of the entry
  Output:  ms since when it is paused
]]
pause_scope(KEYS[1], KEYS[2], ARGV[1], ARGV[2], clock_ms())
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 4))
return redis.call('HGET', KEYS[2], 'since ' .. ARGV[1])
