-- A consumer stops cleanly: it is forgotten at once, and its requests with it.
-- KEYS: consumers requests
-- ARGV: 6 consumer, then owners
-- Returns: 1
redis.call('HDEL', CONSUMERS, ARGV[6])
for at = 7, #ARGV do redis.call('HDEL', REQUESTS, ARGV[at]) end
return 1
