--[[
  Lets one create pass for each model whose pause has ended (model-breaker.lua).

  Input:   KEYS[1] breakers, KEYS[2] pauses, KEYS[3] clocks (hashes)
]]
half_open_models({ breakers = KEYS[1], pauses = KEYS[2], clocks = KEYS[3] }, clock_ms())
return 1
