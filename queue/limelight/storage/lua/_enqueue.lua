-- Shared by the scripts that put a new task on a queue. One item is a spec (a packed array), its followers
-- ("" for none; see _end.lua) and its body. The spec:
--   1 id             2 task name        3 head             4 retries         5 retry delay (JSON number)
--   6 eta µs or 0    7 delay µs or -1   8 priority         9 max redeliveries
--   10 trace id      11 span id of the enqueue span        12 its parent span or ""
--   13 trace flags   14 trace state fragment or ""         15 trace started µs
--   16 fragment for the enqueued event: where              17 start of the enqueue span µs, 0 for now
--   18 periodic task that it is a run of, or ""            19 expires at µs or 0       20 expires in µs or -1
--   21 group that it is a member of, as "<group>:<place>", or ""
--   22 group whose results are its input, or ""
local ITEM = 3

-- Promised: a task that an earlier one, not ended yet, will put on the queue. Its result may still come.
local function promise(ids)
  for id in string.gmatch(ids, '%S+') do set(PROMISED, id, '1') end
end
local function break_promise(ids)
  for id in string.gmatch(ids, '%S+') do remove(PROMISED, id) end
end

local function promise_followers(r, tail)
  if r[FOLLOWERS_LENGTH] == 0 then return end
  local ok, f = pcall(cmsgpack.unpack, followers_of(r, tail))
  if ok then promise(f[4] .. ' ' .. f[8]) end
end

-- `before`: the record of the task that this one follows, nil for a task of its own.
local function enqueue(spec, followers, body, source, input, before)
  local s = cmsgpack.unpack(spec)
  local due = s[6] > 0 and s[6] or (s[7] >= 0 and now + s[7] or 0)
  local later = due > now
  local ready_at = later and due or now
  local trace, parent = s[10], s[12]
  if before and before[LAST_SPAN] ~= '' then
    trace, parent = string.sub(before[LAST_SPAN], 1, 32), string.sub(before[LAST_SPAN], 34)
  end
  local head = s[3] .. ',"priority":' .. s[8] .. ',"enqueued_at":' .. NOW
  local r = {
    'ready', '', s[2], 0, 0, s[4] + 1, s[4], s[5],
    due, s[8], next_score(s[8]), 0, s[9],
    now, ready_at, 0, ready_at, 0, 0, 0,
    0, '', '', '',
    trace, s[11], s[13], s[14], s[15], s[18], #head,
    #followers, #input, s[19] > 0 and s[19] or (s[20] >= 0 and now + s[20] or 0), s[21], s[22], '',
  }
  local id, tail = s[1], head .. followers .. input .. body
  if later then
    r[STATE] = 'delayed'
    save(id, r, tail)
    add(DELAYED, whole(due), id)
  else
    to_ready(id, r, tail, now)
  end
  if not before then promise_followers(r, tail) end
  local span_start = s[17] > 0 and s[17] or now
  tell('enqueued', false, source, {
    about(r, tail), ',"trace_id":"', trace, '","span_id":"', s[11],
    parent ~= '' and '","parent_span_id":"' or '', parent, '","trace_flags":', s[13], s[14],
    s[16], ',"span_start":"', whole(span_start),
    '000","span_end":"', whole(math.max(now, span_start)), '000"',
  }, true)
end
