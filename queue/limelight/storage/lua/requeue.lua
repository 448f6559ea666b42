-- T14  dead → ready: a new life of a dead letter, told as `enqueued`. Its runs are counted on; attempts, retries,
-- redeliveries and times begin anew, and the result, the expiry and the revoked mark of the old life are gone.
-- KEYS: dead dead_reasons tasks revoked ready ready_since delayed promised events meta wake result…
-- USES: _ready _enqueue
-- ARGV: 6 burial µs up to which a letter is meant, 7 where (fragment), 8 when the client began (ns),
--       9 µs after which a trace is too old to be joined, then per task: id, span id, trace id for a fresh trace
-- Returns: per task 1 it is ready; 0 it is no dead letter (any more); -1 its record is unreadable: it stays.
local RESULTS = 11  -- keys before the results
local until_us, where, began, trace_age = tonumber(ARGV[6]), ARGV[7], ARGV[8], tonumber(ARGV[9])
local span_end = whole(math.max(now, tonumber(string.sub(began, 1, -4)))) .. '000'

-- The span of the requeue stands where that of the enqueue stood; what comes next are its children.
local function new_span(r, span_id, fresh_trace_id)
  local before = ',"parent_span_id":"' .. r[PARENT_SPAN] .. '"'
  local link = r[LAST_SPAN]
  if link ~= '' then
    link = '{"trace_id":"' .. string.sub(link, 1, 32) .. '","span_id":"' .. string.sub(link, 34) .. '"}'
  end
  if now - r[TRACED_AT] > trace_age then
    if link == '' then link = '{"trace_id":"' .. r[TRACE_ID] .. '","span_id":"' .. r[PARENT_SPAN] .. '"}' end
    r[TRACE_ID], r[PARENT_SPAN], r[TRACED_AT] = fresh_trace_id, '', now
  end
  if r[PARENT_SPAN] == '' then before = '' end
  r[PARENT_SPAN] = span_id
  return ',"trace_id":"' .. r[TRACE_ID] .. '","span_id":"' .. span_id .. '"' .. before
    .. ',"trace_flags":' .. r[TRACE_FLAGS] .. r[TRACE_STATE]
    .. (link == '' and '' or ',"links":[' .. link .. ']')
    .. ',"span_start":"' .. began .. '","span_end":"' .. span_end .. '"'
end

-- What was to follow its failure has followed, under an id whose runs are counted already; what is to follow
-- its success may still come.
local function followers_left(r, tail)
  if r[FOLLOWERS_LENGTH] == 0 then return '' end
  local f = cmsgpack.unpack(followers_of(r, tail))
  return cmsgpack.pack({f[1], f[2], '', ''})
end

-- Fails on a record that lacks something, before anything is written.
local function new_life(r, tail, span_id, fresh_trace_id)
  r[RETRIES], r[ATTEMPT], r[RETRIES_USED], r[REDELIVERIES] = r[MAX_ATTEMPTS] - 1, 0, 0, 0
  r[ENQUEUED], r[READY_AT], r[EXECUTE], r[STARTED], r[FIRST_READY] = now, now, 0, 0, 0
  r[RAN], r[BACKED_OFF], r[PARKED], r[EXPIRES] = 0, 0, 0, 0
  r[SCORE] = next_score(r[PRIORITY])
  local followers = followers_left(r, tail)
  tail = head_of(r, tail) .. followers .. input_of(r, tail) .. body_of(r, tail)
  r[FOLLOWERS_LENGTH] = #followers
  return about(r, tail) .. new_span(r, span_id, fresh_trace_id) .. where, tail
end

local seen = {}
local function requeue(id, span_id, fresh_trace_id, result_key)
  local buried = redis.call('ZSCORE', DEAD, id)
  if not buried or tonumber(buried) > until_us or seen[id] then return 0 end
  seen[id] = true
  local r, tail = load(id)
  if not r then return -1 end
  local readable, fragment, renewed = pcall(new_life, r, tail, span_id, fresh_trace_id)
  if not readable then return -1 end
  drop(DEAD, id)
  remove(DEAD_REASONS, id)
  remove(REVOKED, id)
  redis.call('DEL', result_key)
  to_ready(id, r, renewed, now)
  promise_followers(followers_of(r, renewed))
  tell('enqueued', false, 'producer', fragment, true)
  return 1
end

local replies, requeued = {}, 0
for at = 10, #ARGV, 3 do
  local n = #replies + 1
  replies[n] = requeue(ARGV[at], ARGV[at + 1], ARGV[at + 2], KEYS[RESULTS + n])
  if replies[n] == 1 then requeued = requeued + 1 end
end
wake(requeued)
return replies
