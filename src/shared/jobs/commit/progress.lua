--[[
  Writes progress, which is lossy on purpose: at most once a second for each job, without a revision, and only for a running
  job. Logs that have not changed are no news.

  Input:   KEYS[1] the job's hash, KEYS[2] its partial text, KEYS[3] its logs, KEYS[4] the tenant's endpoints by type (hash), ARGV[1] progress 0..1 or '', ARGV[2] partial
           text or '', ARGV[3] logs or '', ARGV[4] channel, ARGV[5] message, ARGV[6] 1 when its own webhook hears of progress
  Output:  0; 1 when written; 2 when a receiver hears of it, too
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
if ARGV[6] == '1' or redis.call('HEXISTS', KEYS[4], 'job.progress') == 1 then
  return 2
end
return 1
