-- T2  ready → reserved for one task by its id, silently: whoever enqueued it runs it itself.
-- KEYS: ready reserved tasks events meta
-- USES: _record
-- ARGV: 6 id, 7 token, 8 lease µs
-- Returns: 1 it is the caller's; 0 it is not ready, or the queue is paused.
local id, token = ARGV[6], ARGV[7]
local r, tail = load(id)
if not r then return 0 end
if r[TOKEN] == token then return 1 end
if r[STATE] ~= 'ready' or redis.call('HEXISTS', META, 'paused') == 1 then return 0 end
redis.call('ZREM', READY, id)
r[STATE], r[TOKEN] = 'reserved', token
save(id, r, tail)
add(RESERVED, whole(now + tonumber(ARGV[8])), id)
return 1
