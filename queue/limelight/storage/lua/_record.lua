-- USES: _changes
-- The record of a task: one packed array, then (unpacked, untouched) the head, the followers, the input and
-- the body. head: JSON fragment that every event of the task opens with; followers: see _end.lua; input: what
-- an earlier task left for this one; body: the message. The last two are opaque to scripts.
-- A new record is put together from packed fields: those up to EXPIRES by _enqueue.lua, the rest by the client.
-- The loader writes the number of a field for its name, everywhere.
-- FIELDS: STATE TOKEN RUN ATTEMPT EXECUTE REDELIVERIES STARTED RAN BACKED_OFF PARKED RETRIES_USED
-- FIELDS: WHERE ABOUT_RUN LAST_SPAN LOCKS ENQUEUED READY_AT FIRST_READY HEAD_LENGTH SCORE EXPIRES
-- FIELDS: NAME MAX_ATTEMPTS RETRIES RETRY_DELAY PRIORITY MAX_REDELIVERIES TRACE_ID PARENT_SPAN
-- FIELDS: TRACE_FLAGS TRACE_STATE TRACED_AT PERIODIC FOLLOWERS_LENGTH INPUT_LENGTH GROUP GATHERS

-- nil: no such task; false: bytes that are no record.
local function unpacked(raw)
  if not raw then return nil end
  local ok, at, r = pcall(cmsgpack.unpack_one, raw)
  if not ok or type(r) ~= 'table' or type(r[INPUT_LENGTH]) ~= 'number' then return false end
  return r, at > 0 and string.sub(raw, at + 1) or ''
end

local function load(id)
  return unpacked(redis.call('HGET', TASKS, id))
end

local function head_of(r, tail) return string.sub(tail, 1, r[HEAD_LENGTH]) end
local function followers_of(r, tail)
  return string.sub(tail, r[HEAD_LENGTH] + 1, r[HEAD_LENGTH] + r[FOLLOWERS_LENGTH])
end
local function input_of(r, tail)
  local at = r[HEAD_LENGTH] + r[FOLLOWERS_LENGTH]
  return string.sub(tail, at + 1, at + r[INPUT_LENGTH])
end
local function body_of(r, tail)
  return string.sub(tail, r[HEAD_LENGTH] + r[FOLLOWERS_LENGTH] + r[INPUT_LENGTH] + 1)
end

local function save(id, r, tail) set(TASKS, id, cmsgpack.pack(r) .. tail) end


-- Keys of every event about a task.
local function about_task(r)
  return ',"retries":' .. r[RETRIES] .. ',"retry_delay":' .. r[RETRY_DELAY]
    .. ',"execute_time":' .. (r[EXECUTE] > 0 and seconds(r[EXECUTE]) or 'null')
    .. ',"run":' .. r[RUN] .. ',"attempt":' .. r[ATTEMPT] .. ',"max_attempts":' .. r[MAX_ATTEMPTS]
    .. ',"ready_at":' .. seconds(r[READY_AT])
end
local function about(r, tail) return head_of(r, tail) .. about_task(r) end

-- Keys of every event about a run of it: when and where it ran, and its span. Composed when it starts, behind those
-- of the task as it is while it runs: ABOUT_RUN is both.
local function about_run(r)
  return string.sub(r[ABOUT_RUN], string.find(r[ABOUT_RUN], ',"started_at":', 1, true) or 1)
end

-- Keys of the one event that ends a task: how, and where the time since it was first runnable went.
-- Waiting is the remainder, so the four phases add up to the latency and none can fall below zero.
local function about_end(r, how)
  local rest = math.max(0, now - r[FIRST_READY]) - r[RAN] - r[BACKED_OFF] - r[PARKED]
  return ',"end":"' .. how .. '","first_ready_at":' .. seconds(r[FIRST_READY])
    .. ',"waited_seconds":' .. seconds(math.max(0, rest)) .. ',"ran_seconds":' .. seconds(r[RAN])
    .. ',"backed_off_seconds":' .. seconds(r[BACKED_OFF]) .. ',"parked_seconds":' .. seconds(r[PARKED])
    .. ',"retries_used":' .. r[RETRIES_USED]
end

-- The span of an event about a task that did not run: the trace of its message.
local function about_trace(r)
  return ',"trace_id":"' .. r[TRACE_ID] .. '","parent_span_id":"' .. r[PARENT_SPAN]
    .. '","trace_flags":' .. r[TRACE_FLAGS] .. r[TRACE_STATE]
end

