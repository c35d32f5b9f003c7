--[[
  Takes one token of a rate limit (GCRA): each token moves the theoretical arrival time by one interval, and the arrival
  time may run ahead of now by the tolerance.

  Input:   KEYS[1] a string (theoretical arrival time, microseconds), ARGV[1] interval, ARGV[2] tolerance,
           ARGV[3] the largest plausible lead of the arrival time (microseconds)
  Output:  0 when taken, else the ms to wait
]]
local now = clock_us()
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- No token can have moved the arrival time this far: the clock was set back. One request passes, the others come at the
-- rate.
if arrival > now + tonumber(ARGV[3]) then
  arrival = now + tonumber(ARGV[2])
end
local early = arrival - tonumber(ARGV[2]) - now
if early > 0 then
  return math.ceil(early / 1000)
end
redis.call('SET', KEYS[1], string.format('%.0f', arrival + tonumber(ARGV[1])))
return 0
