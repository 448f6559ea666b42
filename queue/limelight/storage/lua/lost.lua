-- T11  running → ready or dead (told as lost): the owner's consumer saw it die, so nobody waits for the lease.
-- KEYS: running running_since tasks ready ready_since dead dead_reasons revoked delayed promised groups locked awaited wake events meta result
-- USES: _lost
-- ARGV: 6 id, 7 token, 8 what it leaves if this is its end, 9 life of that in ms, 0: not to be stored,
--       10 where (fragment), 11 fragment: error type and message, 12 fragment: traceback
-- Returns: "redelivered", "dead", or 0 when the task is not the owner's (any more).
local id = ARGV[6]
local r, tail = load(id)
if not r or r[TOKEN] ~= ARGV[7] or r[STATE] ~= 'running' then return 0 end
redis.call('ZREM', RUNNING, id)
return lose(id, r, tail, ARGV[11], ARGV[12], ARGV[10], now, ARGV[8], ARGV[9])
