-- Shared by the scripts that put a new task on a queue. One item is 17 arguments from `at`:
--   0 id             1 task name       2 head            3 body
--   4 retries        5 retry delay (JSON number)         6 eta µs or ""     7 delay µs or ""
--   8 priority       9 max redeliveries
--   10 trace id     11 span id of the enqueue span      12 trace flags    13 trace state fragment or ""
--   14 trace started µs                                  15 fragment for the enqueued event: where, span
--   16 name of the periodic task it is a run of, or ""
local ITEM = 17

local function enqueue(at, source)
  local a = ARGV
  local due = a[at + 6] ~= '' and tonumber(a[at + 6]) or (a[at + 7] ~= '' and now + tonumber(a[at + 7]) or 0)
  local retries = tonumber(a[at + 4])
  local later = due > now
  local ready_at = later and due or now
  local priority = tonumber(a[at + 8])
  local r = {
    'ready', '', a[at + 1], 0, 0, retries + 1, retries, a[at + 5],
    due, priority, next_score(priority), 0, tonumber(a[at + 9]),
    now, ready_at, 0, ready_at, 0, 0, 0,
    0, '', '', '',
    a[at + 10], a[at + 11], a[at + 12], a[at + 13], tonumber(a[at + 14]), a[at + 16], #a[at + 2],
  }
  local id, tail = a[at], a[at + 2] .. a[at + 3]
  if later then
    r[STATE] = 'delayed'
    save(id, r, tail)
    redis.call('ZADD', DELAYED, whole(due), id)
  else
    to_ready(id, r, tail, now)
  end
  local span_end = whole(math.max(now, tonumber(string.sub(a[at + 15], 1, 16)))) .. '000'
  tell('enqueued', false, source,
    about(r, tail) .. string.sub(a[at + 15], 17) .. ',"span_end":"' .. span_end .. '"', true)
end
