-- Included, after rank-destination.lua, by the scripts after which a notification is over or held.

--[[
  Keeps a notification that is over or held for a time, and of too many the newest. Each one too many makes the one removable that it
  displaces; a few before that one, too, for a limit that was lowered.
]]
local function keep_notification(kept, removal, id, now, keep, most)
  redis.call('ZADD', kept, whole(now), id)
  redis.call('ZADD', removal, whole(now + keep), id)
  local over = redis.call('ZCARD', kept) - most
  if over > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', kept, whole(math.max(0, over - 10)), whole(over - 1))) do
      redis.call('ZADD', removal, 'LT', whole(now), oldest)
    end
  end
end
