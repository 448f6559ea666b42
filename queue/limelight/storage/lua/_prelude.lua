-- Shared opening of every script: the clock, the record, telling. Not a script of its own.
--
-- The loader puts one line before this text that names KEYS by the script's "KEYS:" header, in capitals.
-- ARGV 1 to 5 are the same everywhere:
--   1 clock     µs to use as now, "0" for Redis TIME (tests move time by hand)
--   2 queue     its name
--   3 channel   where live events are published, "" for nowhere
--   4 cap       entries the stream may hold at most, "0" for no events at all
--   5 emitter   id of the process that speaks
--
-- Redis rolls nothing back, so every script keeps this order: read, decode and check; the first write
-- decides; then the rest. Numbers longer than 14 digits are formatted, never left to tostring.

local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local QUEUE, CHANNEL, CAP, EMITTER = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- The record of a task: one packed array, then (unpacked, untouched) the head and the body.
-- head: JSON fragment with id and task name; body: the message, opaque to scripts.
local STATE, TOKEN, NAME, RUN, ATTEMPT, MAX_ATTEMPTS, RETRIES, RETRY_DELAY = 1, 2, 3, 4, 5, 6, 7, 8
local EXECUTE, PRIORITY, SCORE, REDELIVERIES, MAX_REDELIVERIES = 9, 10, 11, 12, 13
local ENQUEUED, READY_AT, STARTED, FIRST_READY, RAN, BACKED_OFF, PARKED = 14, 15, 16, 17, 18, 19, 20
local RETRIES_USED, WHERE, SPAN, LAST_SPAN = 21, 22, 23, 24
local TRACE_ID, PARENT_SPAN, TRACE_FLAGS, TRACE_STATE, TRACED_AT, PERIODIC, HEAD_LENGTH = 25, 26, 27, 28, 29, 30, 31

local function whole(x) return string.format('%.0f', x) end
local function seconds(us) return string.format('%.6f', us / 1000000) end

-- nil: no such task; false: bytes that are no record.
local function load(id)
  local raw = redis.call('HGET', TASKS, id)
  if not raw then return nil end
  local ok, at, r = pcall(cmsgpack.unpack_one, raw)
  if not ok or type(r) ~= 'table' or type(r[HEAD_LENGTH]) ~= 'number' then return false end
  return r, at > 0 and string.sub(raw, at + 1) or ''
end

local function save(id, r, tail)
  redis.call('HSET', TASKS, id, cmsgpack.pack(r) .. tail)
end

-- One event: gapless seq, stream, and (unless it is for the stream only) the live channel.
local function tell(status, is_error, source, fragment, stream_only)
  if CAP == '0' then return end
  local seq = redis.call('HINCRBY', META, 'seq', 1)
  if seq == 1 then redis.call('HSET', META, 'epoch', EMITTER .. '-' .. whole(now)) end
  local event = '{"status":"' .. status .. '"' .. fragment
    .. ',"error":' .. tostring(is_error) .. ',"timestamp":' .. seconds(now)
    .. ',"v":1,"queue":"' .. QUEUE .. '","seq":' .. whole(seq)
    .. ',"source":"' .. source .. '","emitter":"' .. EMITTER .. '"}'
  redis.call('XADD', EVENTS, 'MAXLEN', '~', CAP, '*', 'e', event)
  -- A user without rights on the channel loses live events, never the change or the durable event.
  if CHANNEL ~= '' and not stream_only then redis.pcall('PUBLISH', CHANNEL, event) end
end

-- Keys of every event about a task.
local function about(r, tail)
  return string.sub(tail, 1, r[HEAD_LENGTH])
    .. ',"retries":' .. r[RETRIES] .. ',"retry_delay":' .. r[RETRY_DELAY]
    .. ',"execute_time":' .. (r[EXECUTE] > 0 and seconds(r[EXECUTE]) or 'null')
    .. ',"run":' .. r[RUN] .. ',"attempt":' .. r[ATTEMPT] .. ',"max_attempts":' .. r[MAX_ATTEMPTS]
    .. ',"priority":' .. r[PRIORITY] .. ',"enqueued_at":' .. seconds(r[ENQUEUED])
    .. ',"ready_at":' .. seconds(r[READY_AT])
end

-- Keys of every event about a run of it: when and where it ran, and its span.
local function about_run(r)
  return ',"started_at":' .. seconds(r[STARTED])
    .. ',"wait":' .. seconds(math.max(0, r[STARTED] - r[READY_AT])) .. r[WHERE] .. r[SPAN]
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

-- A new place at the end of its priority. Higher priority first, then first come, first served.
local function next_score(priority)
  return (4095 - priority) * 1099511627776 + redis.call('HINCRBY', META, 'order', 1)
end

-- Idle workers wait on a list of their own, never on `ready` itself: popping that would lose a task.
local function wake(workers)
  for _ = 1, math.min(workers, 64) do redis.call('LPUSH', WAKE, '1') end
  redis.call('LTRIM', WAKE, 0, 255)
end

-- any state → ready, at the place that r[SCORE] names; `since` is when it became runnable.
local function to_ready(id, r, tail, since)
  r[STATE], r[TOKEN], r[READY_AT] = 'ready', '', since
  if r[FIRST_READY] == 0 then r[FIRST_READY] = since end
  save(id, r, tail)
  redis.call('ZADD', READY, whole(r[SCORE]), id)
  redis.call('ZADD', READY_SINCE, whole(since), id)
end

local function to_dead(id, r, tail)
  r[STATE], r[TOKEN] = 'dead', ''
  save(id, r, tail)
  redis.call('ZADD', DEAD, whole(now), id)
  redis.call('HDEL', REVOKED, id)
end

-- What was found in an index and is no task: bytes that are no record become a dead letter as they are;
-- an entry without a record is only told. The caller has removed it from its index.
local function unreadable(id, record, source, where)
  redis.call('ZREM', READY_SINCE, id)
  local fragment = ',"id":' .. cjson.encode(id) .. ',"task":"_unknown","retries":0,"retry_delay":0,"execute_time":null'
    .. ',"error_type":"limelight.errors.UndecodableMessage","error_message":"its record is unreadable"' .. where
  tell('error-internal', true, source, fragment .. ',"traceback":"The record of this task is unreadable."')
  if record == false then
    redis.call('ZADD', DEAD, whole(now), id)
    tell('dead', false, source, fragment .. ',"end":"dead","first_ready_at":' .. seconds(now))
  end
end

-- A lane numbers what one connection sends; a number seen before means: this was done, do nothing.
local function lane_is_new(lane, n)
  local last = tonumber(redis.call('HGET', LANES, lane) or '0')
  if n <= last then return false end
  redis.call('HSET', LANES, lane, whole(n))
  redis.call('ZADD', LANES_USED, whole(now / 1000000), lane)
  return true
end

-- After a silence longer than half a lease (outage, failover, clock jump) owners get one lease of time
-- to renew before anybody is declared lost. True while that grace lasts. Where the clock went back, leases
-- that would now last too long are cut to the longest that any consumer takes.
local function grace(lease)
  local seen = tonumber(redis.call('HGET', META, 'last_seen') or '0')
  local longest = tonumber(redis.call('HGET', META, 'longest_lease') or '0')
  redis.call('HSET', META, 'last_seen', whole(now))
  if lease > longest then
    longest = lease
    redis.call('HSET', META, 'longest_lease', whole(lease))
  end
  local went_back = now < seen - 1000000
  if seen > 0 and (now - seen > lease / 2 or went_back) then
    redis.call('HSET', META, 'reap_after', whole(now + longest))
  end
  if went_back then
    for _, index in ipairs({RESERVED, RUNNING}) do
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. whole(now + longest), '+inf')) do
        redis.call('ZADD', index, whole(now + longest), id)
      end
    end
  end
  return now < tonumber(redis.call('HGET', META, 'reap_after') or '0')
end
