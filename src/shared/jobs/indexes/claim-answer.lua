--[[
  Takes the job of a create whose answer was lost.

  Input:   KEYS[1] the hash of a request: job -> the process that answers it, '' when its answer was lost
           KEYS[2] the sorted set of answering processes, by their last beat, ms
           ARGV[1] ms without a beat after which a process counts as dead; '' when none may count so
           ARGV[2..] processes that are known to be dead
  Output:  { 'claimed', job } | { 'busy', process, ... } | { 'none' }
]]
local dead = {}
for i = 2, #ARGV do
  dead[ARGV[i]] = true
end
local oldest = ARGV[1] ~= '' and clock_ms() - tonumber(ARGV[1])
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
  if process == '' or is_dead(process) then
    if not first or job < first then
      first = job
    end
  else
    answering[#answering + 1] = process
  end
end
if first then
  redis.call('HDEL', KEYS[1], first)
  return { 'claimed', first }
end
if #answering > 0 then
  return { 'busy', unpack(answering) }
end
return { 'none' }
