-- A queue is paused (its tasks wait, and nothing new begins) or goes on, and idle workers hear of it.
-- KEYS: meta ready wake
-- USES: _changes
-- ARGV: 6 "1" to pause, "" to go on
-- Returns: 1 it is so now; 0 it was so before.
local paused = redis.call('HEXISTS', META, 'paused') == 1
if paused == (ARGV[6] == '1') then return 0 end
if paused then
  remove(META, 'paused')
  wake(redis.call('ZCARD', READY))
else
  set(META, 'paused', whole(now))
end
return 1
