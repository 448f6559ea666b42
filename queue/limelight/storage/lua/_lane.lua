-- USES: _changes
-- A lane numbers what one connection sends; a number seen before means: this was done, do nothing.
local function is_done(lane, n)
  return n <= tonumber(redis.call('HGET', LANES, lane) or '0')
end
local function done(lane, n)
  set(LANES, lane, whole(n))
  add(LANES_USED, whole(now / 1000000), lane)
end
