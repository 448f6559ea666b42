-- USES: _changes
-- The record of a task: its fields, packed by `struct`; then, untouched, the run, the head, the followers, the
-- input and the body. The first two are pieces of packed events, see docs/events.md: the run, of its last run,
-- from "trace_id" to "links"; the head, from "id" to "group_size". Followers: see _end.lua; input: what an earlier
-- task left for this one; body: the message. The last two are opaque to scripts.
-- A new record is put together from packed fields: those under FIELDS and PLACED by _new.lua, those under FIXED by
-- the client.
-- The loader writes the number of a field for its name, everywhere. The first is the layout of the record, a byte
-- that begins no text and no MessagePack; behind the last is the run.
-- FIELDS: STATE:s TOKEN:s RUN:I4 ATTEMPT:I4 EXECUTE:I8 REDELIVERIES:I4 STARTED:I8 RAN:I8 BACKED_OFF:I8 PARKED:I8
-- FIELDS: RETRIES_USED:I8 LAST_SPAN:s LOCKS:s ENQUEUED:I8 READY_AT:I8 FIRST_READY:I8
-- PLACED: SCORE:I8 EXPIRES:I8 RUN_LENGTH:I4 INPUT_LENGTH:I4
-- FIXED: NAME:s RETRY_DELAY:s TRACE_ID:s PARENT_SPAN:s TRACE_STATE:s PERIODIC:s GROUP:s GATHERS:s
-- FIXED: MAX_ATTEMPTS:i8 RETRIES:i8 PRIORITY:i2 MAX_REDELIVERIES:i8 TRACE_FLAGS:B TRACED_AT:I8 HEAD_LENGTH:I4
-- FIXED: FOLLOWERS_LENGTH:I4

-- nil: no such task; false: bytes that are no record.
local function unpacked(raw)
  if not raw then return nil end
  if string.byte(raw) ~= LAYOUT then return false end
  local r = {pcall(struct.unpack, FORMAT, raw, 2)}
  if not r[1] then return false end
  local at = r[RUN_PIECE] + r[RUN_LENGTH]
  if #raw + 1 < at + r[HEAD_LENGTH] + r[FOLLOWERS_LENGTH] + r[INPUT_LENGTH] then return false end
  r[1], r[RUN_PIECE] = LAYOUT, string.sub(raw, r[RUN_PIECE], at - 1)
  return r, string.sub(raw, at)
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

local function packed_record(r, tail) return struct.pack(LAYOUT_AND_FORMAT, unpack(r)) .. r[RUN_PIECE] .. tail end
local function save(id, r, tail) set(TASKS, id, packed_record(r, tail)) end

-- Keys of every event about a task, as JSON.
local function about_head(head)
  local id, name, priority, group, size = cmsgpack.unpack(head)
  return ',"id":"' .. id .. '","task":' .. cjson.encode(name)
    .. (group and ',"group_id":"' .. group .. '","group_size":' .. size or '')
    .. ',"priority":' .. priority
end
local function about_task(r)
  return ',"enqueued_at":' .. seconds(r[ENQUEUED]) .. ',"retries":' .. r[RETRIES] .. ',"retry_delay":' .. r[RETRY_DELAY]
    .. ',"execute_time":' .. (r[EXECUTE] > 0 and seconds(r[EXECUTE]) or 'null')
    .. ',"run":' .. r[RUN] .. ',"attempt":' .. r[ATTEMPT] .. ',"max_attempts":' .. r[MAX_ATTEMPTS]
    .. ',"ready_at":' .. seconds(r[READY_AT])
end
local function about(r, tail) return about_head(head_of(r, tail)) .. about_task(r) end

-- What the last run left of itself: where it ran, as a fragment, and how its span hangs together.
local function about_place(r)
  if r[RUN_PIECE] == '' then return '' end
  local _, _, _, _, _, host, pid, worker, service = cmsgpack.unpack(r[RUN_PIECE])
  return (host and ',"host":' .. cjson.encode(host) or '') .. (pid and ',"pid":' .. pid or '')
    .. (worker and ',"worker":' .. cjson.encode(worker) or '') .. (service and ',"service":' .. service or '')
end

-- Keys of every event about a run, as JSON: when and where it ran, and its span.
local function about_run(r)
  local trace, span, parent, flags, more, _, _, _, _, _, _, _, links = cmsgpack.unpack(r[RUN_PIECE])
  return ',"started_at":' .. seconds(r[STARTED]) .. ',"wait":' .. seconds(math.max(0, r[STARTED] - r[READY_AT]))
    .. about_place(r) .. ',"trace_id":"' .. trace .. '","span_id":"' .. span
    .. (parent and '","parent_span_id":"' .. parent or '')
    .. '","trace_flags":' .. flags .. (more and ',' .. string.sub(more, 2, -2) or '')
    .. ',"trace_started_at":' .. seconds(r[TRACED_AT]) .. (links and ',"links":' .. links or '')
end

-- What the live channel is told of a run that began: nil if nobody hears it.
local function about_live_run(r, tail)
  return is_heard() and {'', about(r, tail), about_run(r)} or nil
end

-- Keys of the one event that ends a task: how, and where the time since it was first runnable went.
-- Waiting is the remainder, so the four phases add up to the latency and none can fall below zero.
local function waited(r) return math.max(0, math.max(0, now - r[FIRST_READY]) - r[RAN] - r[BACKED_OFF] - r[PARKED]) end
local function about_end(r, how)
  return ',"end":"' .. how .. '","first_ready_at":' .. seconds(r[FIRST_READY])
    .. ',"waited_seconds":' .. seconds(waited(r)) .. ',"ran_seconds":' .. seconds(r[RAN])
    .. ',"backed_off_seconds":' .. seconds(r[BACKED_OFF]) .. ',"parked_seconds":' .. seconds(r[PARKED])
    .. ',"retries_used":' .. r[RETRIES_USED]
end

-- The span of an event about a task that did not run: the trace of its message.
local function about_trace(r)
  return ',"trace_id":"' .. r[TRACE_ID] .. '","parent_span_id":"' .. r[PARENT_SPAN]
    .. '","trace_flags":' .. r[TRACE_FLAGS] .. r[TRACE_STATE]
end

-- The same, packed.
local function packed_span(r, span, parent)
  return struct.pack('>BBc0c0c0BBc0', 217, #r[TRACE_ID], r[TRACE_ID], span ~= '' and string.char(160 + #span) .. span or NIL,
    parent ~= '' and string.char(160 + #parent) .. parent or NIL, 204, r[TRACE_FLAGS],
    r[TRACE_STATE] ~= '' and cmsgpack.pack('{' .. string.sub(r[TRACE_STATE], 2) .. '}') or NIL)
end

-- Packed, for an event about a run that began: from "id" to "ready_at", and behind that its run.
local function packed_about(r, tail)
  local delay = r[RETRY_DELAY] == '0' and '\0' or struct.pack('>Bd', 203, tonumber(r[RETRY_DELAY]))
  local due = r[EXECUTE] > 0 and packed_seconds(r[EXECUTE]) or NIL
  if r[MAX_ATTEMPTS] < 128 and r[RETRIES] < 128 and r[RUN] < 128 then
    return struct.pack('>c0BdBc0BBBc0Bdc0', head_of(r, tail), 203, r[ENQUEUED] / 1000000, r[RETRIES], delay, r[RUN],
      r[ATTEMPT], r[MAX_ATTEMPTS], due, 203, r[READY_AT] / 1000000, r[RUN_PIECE])
  end
  return struct.pack('>c0BdBI8c0BI8BI8BI8c0Bdc0', head_of(r, tail), 203, r[ENQUEUED] / 1000000, 207, r[RETRIES], delay,
    207, r[RUN], 207, r[ATTEMPT], 207, r[MAX_ATTEMPTS], due, 203, r[READY_AT] / 1000000, r[RUN_PIECE])
end
