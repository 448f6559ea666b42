-- A scheduler checks which periodic tasks are due: told once a minute, whoever is first.
-- KEYS: events meta
-- USES: _changes
-- ARGV: 6 fragment (null task keys, where)
-- Returns: {1 told or 0 another was first, now µs}
local minute = math.floor(now / 60000000)
local told = 0
if minute > tonumber(redis.call('HGET', META, 'last_check') or '0') then
  redis.call('HSET', META, 'last_check', whole(minute))
  tell('checking-periodic', false, 'scheduler', ARGV[6])
  told = 1
end
return {told, whole(now)}
