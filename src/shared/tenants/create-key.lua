--[[
  Makes an API key, once for each id: by itself, or in the place of an old one, which is replaced once.

  Input:
    KEYS[1] hash: the new key
    KEYS[2] sorted set: the keys of the tenant by when they were made, ms
    KEYS[3] hash: the old key; only of a rotation

    ARGV[1] the id of the new key
    ARGV[2] when it is made, ms
    ARGV[3] when the old key stops to work, ms; '' without one
    ARGV[4..] its fields and their values; `digest` and `request` are among them

  Output: { status, detail }
    made
    known (detail: whether `request` is the same, 1 or 0): there is a key of this id with another secret
    replaced (detail: the id of its successor): the old key was rotated before
]]
local new = {}
for i = 4, #ARGV, 2 do
  new[ARGV[i]] = ARGV[i + 1]
end
local found = redis.call('HMGET', KEYS[1], 'digest', 'request')
if found[1] then
  -- The same secret: the very command comes again, because its reply was cut.
  if found[1] == new.digest then
    return { 'made', '' }
  end
  return { 'known', found[2] == new.request and '1' or '0' }
end
if ARGV[3] ~= '' then
  local successor = redis.call('HGET', KEYS[3], 'replaced_by')
  if successor and successor ~= '' then
    return { 'replaced', successor }
  end
  redis.call('HSET', KEYS[3], 'retires_at', ARGV[3], 'replaced_by', ARGV[1])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return { 'made', '' }
