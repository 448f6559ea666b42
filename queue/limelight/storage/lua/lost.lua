-- T11  running → ready or dead (told as lost): the owner's consumer saw it die, so nobody waits for the lease.
-- KEYS: running running_since tasks ready ready_since dead revoked events meta wake result
-- ARGV: 6 id, 7 token, 8 result to store if this is its end ("" for none), 9 result's life in ms,
--       10 where (fragment), 11 fragment: error type and message, 12 fragment: traceback
-- Returns: "redelivered", "dead", or 0 when the task is not the owner's (any more).
local id = ARGV[6]
local r, tail = load(id)
if not r or r[TOKEN] ~= ARGV[7] or r[STATE] ~= 'running' then return 0 end
redis.call('ZREM', RUNNING, id)
redis.call('ZREM', RUNNING_SINCE, id)
r[RAN] = r[RAN] + math.max(0, now - r[STARTED])
tell('lost', true, 'reaper', about(r, tail) .. about_run(r) .. ARGV[11] .. ARGV[12]
  .. ',"span_end":"' .. whole(math.max(r[STARTED], now)) .. '000","outcome":"lost"')
r[REDELIVERIES] = r[REDELIVERIES] + 1
if r[REDELIVERIES] > r[MAX_REDELIVERIES] then
  to_dead(id, r, tail)
  if ARGV[8] ~= '' then redis.pcall('SET', RESULT, ARGV[8], 'PX', ARGV[9]) end
  tell('dead', false, 'reaper', about(r, tail) .. about_run(r) .. ARGV[11] .. about_end(r, 'dead'))
  return 'dead'
end
r[ATTEMPT] = r[ATTEMPT] - 1
to_ready(id, r, tail, now)
wake(1)
tell('redelivered', false, 'reaper', about(r, tail) .. ARGV[10])
return 'redelivered'
