-- Forgets the trace cursor of a group that sends no spans any more, so that the stream waits for it no longer.
-- KEYS: meta cursors
-- ARGV: 6 field of the group's lease, 7 reader, 8 ms that a cursor must not have been saved for
-- Returns: 1: it is gone now; 0: there is none; -1: somebody leads, or did a moment ago.
local ms = math.floor(now / 1000)
local cursor = redis.call('HGET', CURSORS, ARGV[7])
if not cursor then return 0 end
local ends = tonumber(string.match(redis.call('HGET', META, ARGV[6]) or '', '^(%d+) ') or 0)
local saved = tonumber(string.match(cursor, '^%S+ %d+ (%d+) ') or 0)
if ends > ms or ms - saved < tonumber(ARGV[8]) then return -1 end
redis.call('HDEL', CURSORS, ARGV[7])
redis.call('HDEL', META, ARGV[6])
return 1
