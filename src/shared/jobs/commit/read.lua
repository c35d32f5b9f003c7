--[[
  Reads records of jobs, each consistently. A script instead of MULTI, which Redis refuses when memory is full.

  Input:   KEYS: for each job its hash and three documents (strings)
  Output:  for each job { fields, documents }, the fields flat: field, value, ...
]]
local jobs = {}
for at = 1, #KEYS, 4 do
  jobs[#jobs + 1] = { redis.call('HGETALL', KEYS[at]), redis.call('MGET', KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]) }
end
return jobs
