-- Included by scripts that ask whose memory they look at. Every promotion and every start of a primary draws another
-- replication id. '': this user may not ask, or the service hides it. 'replica': writes here belong to another server.
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
-- Whether two replication ids say that the server is another one; one that cannot be seen says nothing.
local function is_another(stored, seen)
  return seen == 'replica' or ((stored or '') ~= '' and seen ~= '' and stored ~= seen)
end
