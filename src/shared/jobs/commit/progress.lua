--[[
  Writes progress, which is lossy on purpose: at most once a second for each job, without a revision, and only for a running
  job.

  Input:   KEYS[1] the job's hash, KEYS[2] its partial text, ARGV[1] progress 0..1 or '', ARGV[2] partial text or '',
           ARGV[3] channel, ARGV[4] message
  Output:  1 when written, else 0
]]
local now = clock_ms()
local job = redis.call('HMGET', KEYS[1], 'phase', 'progress_at')
if job[1] ~= 'running' or now - tonumber(job[2] or '0') < 1000 then
  return 0
end
redis.call('HSET', KEYS[1], 'progress_at', string.format('%.0f', now))
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'progress', ARGV[1])
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
