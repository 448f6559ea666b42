-- What Redis holds of tasks. Reads only.
-- KEYS: tasks dead dead_reasons revoked reserved running
-- USES: _record
-- ARGV: 6 "1" to have the messages too, then ids
-- Returns: per task false (nothing is held of it), {"unreadable", buried µs or "", reason or "", size}, or
--   {state, buried µs or "", reason or "", size, name, run, attempt, max attempts, retries, retry delay, due µs,
--    priority, redeliveries, max redeliveries, enqueued µs, ready µs, started µs, where (fragment), trace id,
--    revoked until µs or "", lease deadline µs or "", message or ""}
local function or_empty(value) return value or '' end

-- Fails on a record that lacks something.
local function described(id, buried, reason, size, r, tail)
  return {
    r[STATE], buried, reason, size, r[NAME], r[RUN], r[ATTEMPT], r[MAX_ATTEMPTS], r[RETRIES], r[RETRY_DELAY],
    whole(r[EXECUTE]), r[PRIORITY], r[REDELIVERIES], r[MAX_REDELIVERIES], whole(r[ENQUEUED]), whole(r[READY_AT]),
    whole(r[STARTED]), about_place(r), r[TRACE_ID], or_empty(redis.call('HGET', REVOKED, id)),
    or_empty(redis.call('ZSCORE', RUNNING, id) or redis.call('ZSCORE', RESERVED, id)),
    ARGV[6] == '1' and body_of(r, tail) or '',
  }
end

local function look(id)
  local r, tail = load(id)
  local buried = or_empty(redis.call('ZSCORE', DEAD, id))
  if r == nil and buried == '' then return false end
  local reason = or_empty(buried ~= '' and redis.call('HGET', DEAD_REASONS, id))
  local size = redis.call('HSTRLEN', TASKS, id)
  local readable, description = pcall(described, id, buried, reason, size, r, tail)
  return readable and description or {'unreadable', buried, reason, size}
end

local replies = {}
for at = 7, #ARGV do replies[at - 6] = look(ARGV[at]) end
return replies
