-- One command about many things, in as few calls as `unpack` allows; pairs stay together.
local MOST = 4000
local function many(command, key, list)
  for from = 1, #list, MOST do
    redis.call(command, key, unpack(list, from, math.min(from + MOST - 1, #list)))
  end
end
