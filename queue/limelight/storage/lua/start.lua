-- T3  reserved → running: tells `started`, or the verdict that ends the task here.
-- KEYS: reserved ready ready_since running running_since tasks dead dead_reasons revoked delayed promised groups locked awaited wake events meta
-- USES: _start
-- ARGV: 6 lease µs, 7 where (fragment), 8 µs after which a trace is too old to be joined,
--       9 "1" to be handed also what ended instead, as what it ended, 10 where, packed (see _new.lua),
--       then per task: id, token, span id, trace id for a fresh trace
-- Returns: per task {handed…}, the verdict, or 0 when the token is not the task's (any more).
local replies, found = {}, {}
for at = 11, #ARGV, 4 do
  local r, tail = load(ARGV[at])
  if r and r[TOKEN] == ARGV[at + 1] then
    found[at] = {r, tail}
    redis.call('ZREM', RESERVED, ARGV[at])
  end
end
for at = 11, #ARGV, 4 do
  local id, held = ARGV[at], found[at]
  if not held then
    replies[#replies + 1] = 0
  elseif held[1][STATE] == 'running' then
    replies[#replies + 1] = handed(id, held[1], held[2], 'started')
  else
    local r, tail = held[1], held[2]
    local verdict = begin(id, r, tail, tonumber(ARGV[6]), ARGV[7], ARGV[10], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[8]))
    replies[#replies + 1] = (verdict == 'started' or ARGV[9] == '1') and handed(id, r, tail, verdict) or verdict
  end
end
return replies
