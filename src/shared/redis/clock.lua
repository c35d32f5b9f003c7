-- Included by scripts that read Redis's clock. Whole microseconds, or whole milliseconds, since 1970; both are exact.
local function clock_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local function clock_ms()
  return math.floor(clock_us() / 1000)
end
