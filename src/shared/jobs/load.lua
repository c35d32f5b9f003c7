--[[
  One consistent look at a job.

  Input:   KEYS[1] job, KEYS[2] its attempts, KEYS[3] its outbox (hashes)
  Output:  { now ms, job fields, attempt fields, outbox fields }, each flat: field, value, ...
]]
local time = redis.call('TIME')
return {
  string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
}
