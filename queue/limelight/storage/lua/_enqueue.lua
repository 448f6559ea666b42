-- USES: _record _places _new
-- Shared by the scripts that put a new task on a queue beside other changes. An item that waited in Redis is a packed
-- array.

-- Promised: a task that an earlier one, not ended yet, will put on the queue. Its result may still come.
local function promise(ids)
  for id in string.gmatch(ids, '%S+') do set(PROMISED, id, '1') end
end
local function break_promise(ids)
  for id in string.gmatch(ids, '%S+') do remove(PROMISED, id) end
end
local function promise_followers(followers)
  if followers == '' then return end
  local ok, f = pcall(cmsgpack.unpack, followers)
  if ok then promise(f[2] .. ' ' .. f[4]) end
end

-- A task that follows another is in its trace, a child of its last run. One whose runs are roots has a link to that run,
-- and the callback of a group stays beside the group. Returns its record, its span and its links, packed.
local function following(before, record, span)
  local last = before[LAST_SPAN]
  if last == '' then return record, span, NIL end
  local r, tail = unpacked(record)
  if r[PARENT_SPAN] == '' then
    return record, span, cmsgpack.pack(
      '[{"trace_id":"' .. string.sub(last, 1, 32) .. '","span_id":"' .. string.sub(last, 34) .. '"}]')
  end
  if r[GATHERS] ~= '' then return record, span, NIL end
  r[TRACE_ID], r[TRACED_AT] = string.sub(last, 1, 32), before[TRACED_AT]
  return packed_record(r, tail), packed_span(r, r[PARENT_SPAN], string.sub(last, 34)), NIL
end

-- `before`: the record of the task that this one follows, nil for a task of its own.
local function enqueue(item, source, input, before)
  local id, head, fixed, counts, span, where, began, priority, when, followers, body = unpack(item)
  local due, expires = times(when)
  local score = next_score(tonumber(priority))
  local record = new_record(due, expires, score, head, fixed, followers, input, body)
  local links = NIL
  if before then record, span, links = following(before, record, span) end
  set(TASKS, id, record)
  if due > now then
    add(DELAYED, whole(due), id)
  else
    add(READY, whole(score), id)
    add(READY_SINCE, NOW_US, id)
  end
  if not before then promise_followers(followers) end
  tell_packed('enqueued', source, ENQUEUED_POSITIONS, new_event('', due, head, counts, span, where, began, links))
end
