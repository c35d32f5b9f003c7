--[[
  Counts runs of a model. Above the limit all counts are halved, so that newer runs weigh more and the digest follows a
  model that becomes slower or faster.

  Input:   KEYS[1] the model's hash (bucket -> number of runs), ARGV[1] limit of runs, ARGV[2..] buckets and the number
           of further runs in each
  Output:  { bucket, number of runs, ... } before they were halved
]]
for at = 2, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1])
end
local counts = redis.call('HGETALL', KEYS[1])
local total = 0
for i = 2, #counts, 2 do
  total = total + tonumber(counts[i])
end
if total > tonumber(ARGV[1]) then
  for i = 1, #counts, 2 do
    local half = math.floor(tonumber(counts[i + 1]) / 2)
    if half == 0 then
      redis.call('HDEL', KEYS[1], counts[i])
    else
      redis.call('HSET', KEYS[1], counts[i], string.format('%.0f', half))
    end
  end
end
return counts
