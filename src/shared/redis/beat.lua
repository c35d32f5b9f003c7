--[[
  Heartbeat of a process, with the generation of Redis's memory that it sees.

  Input:   KEYS[1] the presence hash (`worker:<id>` -> `<generation> <ms>`,
           `run:<generation>` -> ms), ARGV[1] id, ARGV[2] generation
  Output:  1
]]
local now = string.format('%.0f', clock_ms())
redis.call('HSET', KEYS[1], 'worker:' .. ARGV[1], ARGV[2] .. ' ' .. now, 'run:' .. ARGV[2], now)
return 1
