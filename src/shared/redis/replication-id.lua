-- Included by scripts that check which server holds the memory. Every promotion and every start of a primary creates a new
-- replication id. '': this user may not read it, or the service hides it. 'replica': this server is not the primary.
local function replication_id()
  local info = redis.pcall('INFO', 'replication')
  if type(info) ~= 'string' then
    return ''
  end
  if string.find(info, 'role:slave', 1, true) then
    return 'replica'
  end
  return string.match(info, 'master_replid:(%x+)') or ''
end
-- Whether two replication ids prove that the server is another one; a hidden id proves nothing.
local function is_another(stored, seen)
  return seen == 'replica' or ((stored or '') ~= '' and seen ~= '' and stored ~= seen)
end
