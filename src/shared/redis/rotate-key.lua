--[[
  Rotates the key of a deployment: the current key becomes the previous one, which stays valid; the previous one is removed.

  Input:   KEYS[1] the deployment's hash, ARGV[1] the new key, ARGV[2] ms that must have passed since the last rotation,
           ARGV[3] prefix of its field names
  Output:  0 when rotated, else the remaining ms; -1 when there is no deployment
]]
local now = clock_ms()
local known = redis.call('HMGET', KEYS[1], ARGV[3] .. 'key', ARGV[3] .. 'rotated_at')
if not known[1] then
  return -1
end
local left = tonumber(known[2] or '0') + tonumber(ARGV[2]) - now
if left > 0 then
  return left
end
redis.call('HSET', KEYS[1], ARGV[3] .. 'key', ARGV[1], ARGV[3] .. 'previous_key', known[1], ARGV[3] .. 'rotated_at',
  string.format('%.0f', now))
return 0
