--[[
  Test write. A replica, a primary with too few replicas, and a server that cannot write its files refuse it.

  Input:   KEYS[1] a string
  Output:  1
]]
redis.call('SET', KEYS[1], '1', 'PX', '60000')
return 1
