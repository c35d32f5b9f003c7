--[[
  Takes the job of an equal create whose answer was lost, which this process answers from now on; or notes that this create is
  about to be accepted.

  Input:   KEYS[1] the hash of a request: job -> the process that answers it; '' when its answer was lost;
           '?' and the process before the acceptance
           KEYS[2] the sorted set of answering processes, by their last beat, ms
           ARGV[1] the job of this create, ARGV[2] its process, ARGV[3] ms for which it is noted
           ARGV[4] '1' when it is accepted although equal creates are being answered
           ARGV[5] ms without a beat after which a process counts as dead; '' when none may count so
           ARGV[6..] processes that are known to be dead
  Output:  { 'claimed', job } | { 'busy', process, ... } | { 'noted' }
]]
local dead = {}
for i = 6, #ARGV do
  dead[ARGV[i]] = true
end
local oldest = ARGV[5] ~= '' and clock_ms() - tonumber(ARGV[5])
local function is_dead(process)
  if dead[process] then
    return true
  end
  local beat = oldest and redis.call('ZSCORE', KEYS[2], process)
  return oldest and (not beat or tonumber(beat) < oldest)
end

local noted = redis.call('HGETALL', KEYS[1])
local first, answering = nil, {}
for i = 1, #noted, 2 do
  local job, process = noted[i], noted[i + 1]
  local is_accepted = string.sub(process, 1, 1) ~= '?'
  local name = is_accepted and process or string.sub(process, 2)
  if name ~= '' and not is_dead(name) then
    answering[#answering + 1] = name
  elseif is_accepted then
    if not first or job < first then
      first = job
    end
  else
    redis.call('HDEL', KEYS[1], job)
  end
end
if first then
  redis.call('HSET', KEYS[1], first, ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return { 'claimed', first }
end
if #answering > 0 and ARGV[4] ~= '1' then
  return { 'busy', unpack(answering) }
end
redis.call('HSET', KEYS[1], ARGV[1], '?' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { 'noted' }
