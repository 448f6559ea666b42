-- Somebody waits for the end of a task, and listens on a channel to be told of it.
-- KEYS: tasks dead promised awaited
-- USES: _changes
-- ARGV: 6 id, 7 channel
-- Returns: 1 it may still end; 0 it is not on the queue, and will not be.
local id = ARGV[6]
local alive = redis.call('HEXISTS', TASKS, id) == 1 and not redis.call('ZSCORE', DEAD, id)
if not alive and redis.call('HEXISTS', PROMISED, id) == 0 then return 0 end
local channels = redis.call('HGET', AWAITED, id) or ''
if not string.find(' ' .. channels .. ' ', ' ' .. ARGV[7] .. ' ', 1, true) then
  set(AWAITED, id, channels .. (channels ~= '' and ' ' or '') .. ARGV[7])
end
return 1
