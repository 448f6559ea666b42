-- T15  reserved → dead: a message that no worker of ours can run, kept with the reason.
-- KEYS: reserved ready_since tasks dead revoked events meta result
-- ARGV: 6 id, 7 token, 8 fragment: error type and message, 9 fragment: traceback, 10 where,
--       11 result ("" for none), 12 its life in ms
-- Returns: 1 buried; 0 not the caller's (any more).
local id = ARGV[6]
local r, tail = load(id)
if not r or r[TOKEN] ~= ARGV[7] or r[STATE] ~= 'reserved' then return 0 end
redis.call('ZREM', RESERVED, id)
redis.call('ZREM', READY_SINCE, id)
to_dead(id, r, tail)
if ARGV[11] ~= '' then redis.pcall('SET', RESULT, ARGV[11], 'PX', ARGV[12]) end
local head = ',"id":' .. cjson.encode(id) .. ',"task":"_unknown"'
local event = head .. string.sub(about(r, tail), r[HEAD_LENGTH] + 1) .. ARGV[8] .. ARGV[10] .. about_trace(r)
tell('error-internal', true, 'worker', event .. ARGV[9])
tell('dead', false, 'worker', event .. about_end(r, 'dead'))
return 1
