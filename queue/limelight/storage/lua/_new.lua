-- A new task: its record and its event. What a client sends of one, its item:
--   1 id         2 head (fragment)        3 fixed fields of the record (packed, see _record.lua)
--   4 fragment: retries, retry delay      5 fragment: run, attempt, most attempts
--   6 fragment: the enqueue span's ids, flags and state       7 fragment: where
--   8 start of that span µs, "0" for now  9 priority
--   10 "" for at once and for good, else "eta µs or 0, delay µs or -1, expires at µs or 0, expires in µs or -1"
--   11 its followers, "" for none (see _end.lua)              12 its body
local ITEM = 12
local RECORD = '\220\0\37'  -- MessagePack: an array of 37 fields
local ENQUEUED_AT, NOW_US = ',"enqueued_at":' .. NOW, whole(now)

-- When it is due, 0 for at once, and when it is too late for it, 0 for never.
local function times(when)
  if when == '' then return 0, 0 end
  local eta, delay, expires_at, expires_in = string.match(when, '^(%d+) (-?%d+) (%d+) (-?%d+)$')
  eta, delay, expires_at, expires_in = tonumber(eta), tonumber(delay), tonumber(expires_at), tonumber(expires_in)
  return eta > 0 and eta or (delay >= 0 and now + delay or 0),
    expires_at > 0 and expires_at or (expires_in >= 0 and now + expires_in or 0)
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

local function new_record(due, expires, score, head, fixed, followers, input, body)
  return first_fields(due) .. cmsgpack.pack(#head + #ENQUEUED_AT, score, expires)
    .. fixed .. head .. ENQUEUED_AT .. followers .. input .. body
end

-- Its event between an opening and a closing; `about` is 4, `counts` 5, `span` 6, `where` 7, `began` 8 of the item.
local function new_event(opening, due, head, about, counts, span, where, began, closing)
  local start, stop = NOW_US, NOW_US
  if began ~= '0' then
    start = began
    if tonumber(began) > now then stop = began end
  end
  return opening .. head .. ENQUEUED_AT .. about
    .. (due > 0 and ',"execute_time":' .. seconds(due) or ',"execute_time":null') .. counts
    .. ',"ready_at":' .. (due > now and seconds(due) or NOW) .. span .. where
    .. ',"span_start":"' .. start .. '000","span_end":"' .. stop .. '000"' .. closing
end
