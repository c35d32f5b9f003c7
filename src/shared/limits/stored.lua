--[[
  What tenants have stored: one hash with `<tenant>.bytes` and `<tenant>.files`, and `<tenant>.changes`, which rises with each
  change, so that a recount knows whether it was disturbed. Every script that writes or removes the record of a file changes
  the count as well.
]]
local function add_stored(key, tenant, bytes, files)
  -- `+ 0` avoids `-0`, which Redis rejects.
  redis.call('HINCRBY', key, tenant .. '.bytes', string.format('%.0f', bytes + 0))
  redis.call('HINCRBY', key, tenant .. '.files', string.format('%.0f', files + 0))
  redis.call('HINCRBY', key, tenant .. '.changes', 1)
end

-- Name, value and usage of the first limit that `more` bytes in one file would exceed; nil: none. `tenants`: the hash of the
-- tenants' own limits, which replace the defaults; '' is no limit.
local function stored_beyond(key, tenants, tenant, more, default_bytes, default_files)
  for _, one in ipairs({ { 'bytes', more, default_bytes }, { 'files', 1, default_files } }) do
    local name = 'stored_' .. one[1]
    local own = redis.call('HGET', tenants, tenant .. '.' .. name)
    local limit = (own and own ~= '') and own or one[3]
    local used = redis.call('HGET', key, tenant .. '.' .. one[1]) or '0'
    if limit ~= '' and tonumber(used) + one[2] > tonumber(limit) then
      return name, limit, used
    end
  end
end
