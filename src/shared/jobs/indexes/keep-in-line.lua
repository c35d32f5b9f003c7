--[[
  Puts a job in line, or leaves it at its place, and sets when it is due again. In one step, because a worker that takes it from
  then on sets the due time to the end of its lease.

  Input:   KEYS[1] the line (sorted set), KEYS[2] the due index (sorted set, score ms), ARGV[1] the job, ARGV[2] its member in the
           due index, ARGV[3] ms until it is due
  Output:  1
]]
redis.call('ZADD', KEYS[1], '0', ARGV[1])
redis.call('ZADD', KEYS[2], 'XX', string.format('%.0f', clock_ms() + tonumber(ARGV[3])), ARGV[2])
return 1
