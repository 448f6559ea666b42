-- USES: _entry
-- A new task: its record and its event. What a client sends of one, its item:
--   1 id                                  2 head (packed, see _record.lua)
--   3 fixed fields of the record (packed, see _record.lua)
--   4 counts: retries, retry delay, run, attempt, most attempts (packed, as in events)
--   5 the enqueue span's ids, flags and state (packed)        6 host, pid, worker, service (packed)
--   7 start of that span µs, "0" for now  8 priority
--   9 "" for at once and for good, else "eta µs or 0, delay µs or -1, expires at µs or 0, expires in µs or -1"
--   10 its followers, "" for none (see _end.lua)              11 its body
local ITEM = 11
local NOW_US = whole(now)

-- When it is due, 0 for at once, and when it is too late for it, 0 for never.
local function times(when)
  if when == '' then return 0, 0 end
  local eta, delay, expires_at, expires_in = string.match(when, '^(%d+) (-?%d+) (%d+) (-?%d+)$')
  eta, delay, expires_at, expires_in = tonumber(eta), tonumber(delay), tonumber(expires_at), tonumber(expires_in)
  return eta > 0 and eta or (delay >= 0 and now + delay or 0),
    expires_at > 0 and expires_at or (expires_in >= 0 and now + expires_in or 0)
end

-- Most tasks of a batch have the same first fields.
local undue
local function first_fields(due)
  if due == 0 and undue then return undue end
  local since = due > now and due or now
  local first = struct.pack(LAYOUT_AND_FRESH, LAYOUT, due > now and 'delayed' or 'ready', '', 0, 0, due, 0, 0, 0, 0, 0, 0,
    '', '', now, since, since)
  if due == 0 then undue = first end
  return first
end

local function new_record(due, expires, score, head, fixed, followers, input, body)
  return first_fields(due) .. struct.pack(PLACING, score, expires, 0, #input) .. fixed .. head .. followers .. input .. body
end

-- Its event behind an opening with its number (see _entry.lua), in so many positions: those about a run and "duration" are nil, but
-- for its links; then come the start of its span and its end; nil: at the event's own time.
local ENQUEUED_POSITIONS = 35
local function new_event(opening, due, head, counts, span, where, began, links)
  local ready, start, stop = due > now and due or now, NIL, NIL
  if began ~= '0' then
    start = string.char(163 + #began) .. began .. '000'
    if tonumber(began) > now then stop = start end
  end
  return struct.pack('>c0c0Bdc0c0Bdc0c0c0c0c0c0c0', opening, head, 203, now / 1000000, counts,
    due > 0 and packed_seconds(due) or NIL, 203, ready / 1000000, span, where, '\192\192\192', links, NIL, start, stop)
end
