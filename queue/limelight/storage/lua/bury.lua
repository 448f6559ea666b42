-- T15  reserved → dead: a message that no worker of ours can run, kept with the reason.
-- KEYS: reserved ready ready_since tasks dead dead_reasons revoked delayed promised groups locked awaited wake events meta result
-- USES: _end
-- ARGV: 6 id, 7 token, 8 fragment: error type and message, 9 fragment: traceback, 10 where,
--       11 result ("" for none), 12 its life in ms, 0: not to be stored
-- Returns: 1 buried; 0 not the caller's (any more).
local id = ARGV[6]
local r, tail = load(id)
if not r or r[TOKEN] ~= ARGV[7] or r[STATE] ~= 'reserved' then return 0 end
redis.call('ZREM', RESERVED, id)
drop(READY_SINCE, id)
if ARGV[11] ~= '' and ARGV[12] ~= '0' then redis.pcall('SET', RESULT, ARGV[11], 'PX', ARGV[12]) end
local head = ',"id":' .. cjson.encode(id) .. ',"task":"_unknown"'
local event = head .. ',"priority":' .. r[PRIORITY] .. about_task(r) .. ARGV[8] .. ARGV[10] .. about_trace(r)
tell('error-internal', true, 'worker', event .. ARGV[9])
tell('dead', false, 'worker', event .. about_end(r, 'dead'))
to_dead(id, r, tail, ARGV[8], ARGV[11], 'worker')
return 1
