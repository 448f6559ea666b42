-- USES: _events _places
-- A new task: its record and its event. One item is what is told of it and when it is due (a packed array, and after
-- it the fixed fields of its record, packed), its followers ("" for none; see _end.lua), its body. The array:
--   1 id       2 head (fragment)        3 fragment: retries, retry delay    4 fragment: run, attempt, most attempts
--   5 fragment: the enqueue span's ids, flags and state   6 fragment: where   7 start of that span µs, 0 for now
--   8 eta µs or 0      9 delay µs or -1      10 priority      11 expires at µs or 0      12 expires in µs or -1
local ITEM = 3
local RECORD = '\220\0\37'  -- MessagePack: an array of 37 fields
local ENQUEUED_AT, NOW_US = ',"enqueued_at":' .. NOW, whole(now)

local function opened(item)
  local at, task = cmsgpack.unpack_one(item)
  task.fixed = string.sub(item, at + 1)
  task.due = task[8] > 0 and task[8] or (task[9] >= 0 and now + task[9] or 0)
  return task
end

-- The changing fields of a new record up to FIRST_READY, with the array's opening. Most tasks of a batch have the same.
local undue
local function first_fields(due)
  if due == 0 and undue then return undue end
  local later = due > now
  local since = later and due or now
  local packed = RECORD .. cmsgpack.pack(
    later and 'delayed' or 'ready', '', 0, 0, due, 0, 0, 0, 0, 0, 0, '', '', '', '', now, since, since
  )
  if due == 0 then undue = packed end
  return packed
end

-- The record of a new task: its changing fields, the fixed ones, and what follows them (see _record.lua).
local function new_record(task, score, followers, input, body)
  local expires = task[11] > 0 and task[11] or (task[12] >= 0 and now + task[12] or 0)
  return first_fields(task.due) .. cmsgpack.pack(#task[2] + #ENQUEUED_AT, score, expires)
    .. task.fixed .. task[2] .. ENQUEUED_AT .. followers .. input .. body
end

-- `span`: the fragment of its enqueue span.
local function tell_enqueued(task, source, span)
  local due, start = task.due, task[7] == 0 and NOW_US or whole(task[7])
  tell('enqueued', false, source, {
    '', task[2], ENQUEUED_AT, task[3], due > 0 and ',"execute_time":' .. seconds(due) or ',"execute_time":null',
    task[4], ',"ready_at":', due > now and seconds(due) or NOW, span, task[6],
    ',"span_start":"', start, '000","span_end":"', task[7] > now and start or NOW_US, '000"',
  }, true)
end
