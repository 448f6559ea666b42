-- Takes, renews or gives up the lease of the one exporter of a group that sends the spans of a queue.
-- KEYS: meta
-- ARGV: 6 field of the lease, 7 exporter, 8 ms that the lease is to last, 9 "1" to give it up
-- Returns: 1: the exporter leads; 0: it does not.
-- A lease is "<Unix ms of its end> <exporter>". One that ends later than any can was given by a clock that has
-- gone back since: it counts as over.
local ms, lasts = math.floor(now / 1000), tonumber(ARGV[8])
local ends, holder = string.match(redis.call('HGET', META, ARGV[6]) or '', '^(%d+) (%S+)$')
ends = tonumber(ends or 0)
if holder and holder ~= ARGV[7] and ends > ms and ends <= ms + lasts then return 0 end
redis.call('HDEL', META, ARGV[6])  -- a full Redis refuses no removal, and nothing that follows one
if ARGV[9] == '1' then return 0 end
redis.call('HSET', META, ARGV[6], whole(ms + lasts) .. ' ' .. ARGV[7])
return 1
