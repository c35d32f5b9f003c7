--[[
  Forgets the failures of a destination, because its owner enabled it again, or what waited for it was given up.

  Input:   KEYS[1] what waits for the destination, KEYS[2] destinations in order, KEYS[3] the destination (hash), ARGV[1] its name
]]
redis.call('HDEL', KEYS[3], 'failures', 'failing_since', 'failed_at', 'paused_until')
rank_destination(KEYS[2], KEYS[1], KEYS[3], ARGV[1])
