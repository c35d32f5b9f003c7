--[[
  Writes progress, which is lossy on purpose: at most once a second for each job, without a revision, and only for a running
  job. Logs that have not changed are no news.

  Input:   KEYS[1] the job's hash, KEYS[2] its partial text, KEYS[3] its logs, ARGV[1] progress 0..1 or '', ARGV[2] partial
           text or '', ARGV[3] logs or '', ARGV[4] channel, ARGV[5] message
  Output:  1 when written, else 0
]]
local now = clock_ms()
local job = redis.call('HMGET', KEYS[1], 'phase', 'progress_at')
if job[1] ~= 'running' or now - tonumber(job[2] or '0') < 1000 then
  return 0
end
local has_logs = ARGV[3] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[3]
if ARGV[1] == '' and ARGV[2] == '' and not has_logs then
  return 0
end
redis.call('HSET', KEYS[1], 'progress_at', string.format('%.0f', now))
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'progress', ARGV[1])
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2])
end
if has_logs then
  redis.call('SET', KEYS[3], ARGV[3])
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
