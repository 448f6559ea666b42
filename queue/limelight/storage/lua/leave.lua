-- A consumer stops cleanly: it is forgotten at once, and its requests with it. Tokens that its waiting
-- workers may have taken with them are given back.
-- KEYS: consumers requests ready wake
-- USES: _changes
-- ARGV: 6 consumer, then owners
-- Returns: 1
redis.call('HDEL', CONSUMERS, ARGV[6])
for at = 7, #ARGV do redis.call('HDEL', REQUESTS, ARGV[at]) end
wake(math.min(#ARGV - 6, redis.call('ZCARD', READY)))
return 1
