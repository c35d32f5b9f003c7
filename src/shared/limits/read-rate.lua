--[[
  The rate of creates of an account now (learned-rate.lua).

  Input:   KEYS[1] the account's hash, ARGV[1] configured creates per minute, ARGV[2] burst, ARGV[3] quiet ms, ARGV[4] doubling ms
  Output:  { per minute, burst, ceiling, ms since when there was no 429 ('': the rate is the ceiling), 429s, 429s of probing,
           theoretical arrival time, now (both microseconds) }
]]
local now_us = clock_us()
local found = redis.call('HMGET', KEYS[1], 'throttled', 'throttled_probing', 'next_arrival', unpack(RATE_FIELDS))
local account = account_rate(found, 4)
local plan = { rate = tonumber(ARGV[1]), burst = tonumber(ARGV[2]), quiet = tonumber(ARGV[3]), doubling = tonumber(ARGV[4]) }
local rate, burst, ceiling = learned_rate(account, plan, math.floor(now_us / 1000))
return {
  string.format('%.17g', rate), burst, string.format('%.17g', ceiling), rate < ceiling and account.rate_from or '', found[1] or '0', found[2] or '0', found[3] or '0', string.format('%.0f', now_us),
}
