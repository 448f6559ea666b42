-- Counts one use against a limit: never more than so many in any window of that length.
-- KEYS: limit
-- ARGV: 6 id of this very request, 7 how many, 8 window µs
-- Returns: 0 counted (also when asked again), else µs until there is room.
redis.call('ZREMRANGEBYSCORE', LIMIT, '-inf', whole(now - tonumber(ARGV[8])))
if redis.call('ZSCORE', LIMIT, ARGV[6]) then return 0 end
if redis.call('ZCARD', LIMIT) < tonumber(ARGV[7]) then
  redis.call('ZADD', LIMIT, whole(now), ARGV[6])
  redis.call('PEXPIRE', LIMIT, whole(tonumber(ARGV[8]) / 1000 + 1000))
  return 0
end
local oldest = redis.call('ZRANGE', LIMIT, 0, 0, 'WITHSCORES')
return math.max(1, tonumber(oldest[2]) + tonumber(ARGV[8]) - now)
