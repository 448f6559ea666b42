-- T13  ready, delayed or scheduled → gone: a task that waits is taken off the queue, told as `canceled`.
-- What a worker holds already is left to it.
-- KEYS: ready ready_since delayed scheduled tasks revoked dead dead_reasons promised groups locked awaited events meta wake
-- USES: _unreadable _end
-- ARGV: 6 where (fragment), then ids
-- Returns: {how many were canceled, how many were unreadable: those with a record are dead letters now}
local WAITING = {ready = READY, delayed = DELAYED, scheduled = SCHEDULED}

-- Fails on a record that lacks something, before anything is written.
local function end_of(r, tail)
  -- The rest of a back-off will not be waited for.
  if r[FIRST_READY] < r[EXECUTE] then r[BACKED_OFF] = r[BACKED_OFF] - math.max(0, r[EXECUTE] - now) end
  return about(r, tail) .. about_end(r, 'canceled') .. about_trace(r) .. ARGV[6]
end

local function index_of(id)
  for _, index in pairs(WAITING) do
    if redis.call('ZSCORE', index, id) then return index end
  end
end

local canceled, unread, seen = 0, 0, {}
local function cancel(id)
  local index = index_of(id)
  if not index or seen[id] then return end
  seen[id] = true
  local r, tail = load(id)
  if r and not WAITING[r[STATE]] then return end
  local readable, fragment = pcall(end_of, r, tail)
  drop(index, id)
  if not readable then
    unreadable(id, r and false, 'producer', ARGV[6])
    unread = unread + 1
    return
  end
  drop(READY_SINCE, id)
  remove(TASKS, id)
  tell('canceled', false, 'producer', fragment)
  ended(id, r, tail, 'flushed', '', 'producer')
  canceled = canceled + 1
end

for at = 7, #ARGV do cancel(ARGV[at]) end
return {canceled, unread}
