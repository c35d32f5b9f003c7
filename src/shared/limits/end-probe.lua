--[[
  Ends a probe of a half-open circuit breaker. After a successful probe the first create takes the lease: no second create
  passes before the outcome of the first is known.

  Input:   KEYS[1] the account's hash, ARGV[1] '1' when upstream is healthy: one create may pass; else ARGV[2] ms of the
           first pause, ARGV[3] of the longest, ARGV[4] the reason
]]
if ARGV[1] ~= '1' then
  trip(KEYS[1], clock_ms(), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4])
elseif redis.call('HEXISTS', KEYS[1], 'half_open') == 1 then
  redis.call('HSET', KEYS[1], 'probe', '1')
end
return 1
