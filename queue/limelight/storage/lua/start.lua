-- T3  reserved → running: tells `started`, or the verdict that ends the task here.
-- KEYS: reserved ready_since running running_since tasks revoked events meta
-- USES: _start
-- ARGV: 6 lease µs, 7 where (fragment), 8 µs after which a trace is too old to be joined,
--       then per task: id, token, span id, trace id for a fresh trace
-- Returns: per task {handed…}, "revoked", or 0 when the token is not the task's (any more).
local replies = {}
for at = 9, #ARGV, 4 do
  local id, token = ARGV[at], ARGV[at + 1]
  local r, tail = load(id)
  if not r or r[TOKEN] ~= token then
    replies[#replies + 1] = 0
  elseif r[STATE] == 'running' then
    replies[#replies + 1] = handed(id, r, tail, 'started')
  else
    local verdict = begin(id, r, tail, tonumber(ARGV[6]), ARGV[7], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[8]))
    replies[#replies + 1] = verdict == 'started' and handed(id, r, tail, verdict) or verdict
  end
end
return replies
