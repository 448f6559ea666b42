-- Shared opening of every script: the clock, the record, writing, telling. Not a script of its own.
--
-- The loader puts one line before this text that names KEYS by the script's "KEYS:" header, in capitals,
-- wraps the script in a function and calls `write` when it is done. ARGV 1 to 5 are the same everywhere:
--   1 clock     µs to use as now, "0" for Redis TIME (tests move time by hand)
--   2 queue     its name
--   3 channel   where live events are published, "" for nowhere
--   4 cap       entries the stream may hold at most, "0" for no events at all
--   5 emitter   id of the process that speaks
--
-- Redis rolls nothing back, so every script keeps this order: read, decode and check; then change. Changes
-- and events are collected and written together at the end: entries leave their indexes first (a full Redis
-- refuses no removal, and nothing that follows one), then records and entries are added, then events are
-- told. A batch so costs a few commands, not a few per task; an error before the end has changed nothing.
-- Numbers longer than 14 digits are formatted, never left to tostring.

local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local QUEUE, CHANNEL, CAP, EMITTER = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- The record of a task: one packed array, then (unpacked, untouched) the head, the followers, the input and
-- the body. head: JSON fragment that every event of the task opens with; followers: see _end.lua; input: what
-- an earlier task left for this one; body: the message. The last two are opaque to scripts.
local STATE, TOKEN, NAME, RUN, ATTEMPT, MAX_ATTEMPTS, RETRIES, RETRY_DELAY = 1, 2, 3, 4, 5, 6, 7, 8
local EXECUTE, PRIORITY, SCORE, REDELIVERIES, MAX_REDELIVERIES = 9, 10, 11, 12, 13
local ENQUEUED, READY_AT, STARTED, FIRST_READY, RAN, BACKED_OFF, PARKED = 14, 15, 16, 17, 18, 19, 20
local RETRIES_USED, WHERE, ABOUT_RUN, LAST_SPAN = 21, 22, 23, 24
local TRACE_ID, PARENT_SPAN, TRACE_FLAGS, TRACE_STATE, TRACED_AT, PERIODIC, HEAD_LENGTH = 25, 26, 27, 28, 29, 30, 31
local FOLLOWERS_LENGTH, INPUT_LENGTH, EXPIRES, GROUP, GATHERS, LOCKS = 32, 33, 34, 35, 36, 37

local function whole(x) return string.format('%d', x) end
local function seconds(us)
  if us == 0 then return '0' end
  return string.format('%d.%06d', us / 1000000, us % 1000000)
end
local NOW = seconds(now)

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

-- -- Changes, collected ------------------------------------------------------------------------------------
local drops, removals, fields, adds, woken, told, rung = {}, {}, {}, {}, 0, {}, {}

local function collected(changes, key)
  local list = changes[key]
  if not list then
    list = {}
    changes[key] = list
    changes[#changes + 1] = key
  end
  return list
end

-- An entry leaves a sorted set; it is added to one; a field of a hash is removed; it is set.
local function drop(index, id)
  local list = collected(drops, index)
  list[#list + 1] = id
end
local function add(index, score, id)
  local list = collected(adds, index)
  list[#list + 1] = score
  list[#list + 1] = id
end
local function remove(hash, field)
  local list = collected(removals, hash)
  list[#list + 1] = field
end
local function set(hash, field, value)
  local list = collected(fields, hash)
  list[#list + 1] = field
  list[#list + 1] = value
end

local function save(id, r, tail) set(TASKS, id, cmsgpack.pack(r) .. tail) end

local MOST = 4000  -- arguments of one command: unpack has a limit
local function each(command, changes)
  for _, key in ipairs(changes) do
    local list = changes[key]
    for from = 1, #list, MOST do
      redis.call(command, key, unpack(list, from, math.min(from + MOST - 1, #list)))
    end
  end
end

-- Events get gapless numbers in the order they were told. Publishing may be refused to a user without rights
-- on the channel: that loses live events, never the change or the durable event.
local function write_events()
  local seq = redis.call('HINCRBY', META, 'seq', #told) - #told
  if seq == 0 then redis.call('HSET', META, 'epoch', EMITTER .. '-' .. whole(now)) end
  local rest = ',"emitter":"' .. EMITTER .. '"}'
  for n, pieces in ipairs(told) do
    pieces[#pieces + 1] = whole(seq + n)
    pieces[#pieces + 1] = rest
    local json = table.concat(pieces)
    redis.call('XADD', EVENTS, 'MAXLEN', '~', CAP, '*', 'e', json)
    if CHANNEL ~= '' and not pieces.stream_only then redis.pcall('PUBLISH', CHANNEL, json) end
  end
end

local function write()
  each('ZREM', drops)
  each('HSET', fields)
  each('ZADD', adds)
  each('HDEL', removals)
  if #told > 0 then write_events() end
  if woken > 0 then
    local tokens = {}
    for n = 1, math.min(woken, 64) do tokens[n] = '1' end
    redis.call('LPUSH', WAKE, unpack(tokens))
    redis.call('LTRIM', WAKE, 0, 255)
  end
  for at = 1, #rung, 2 do redis.pcall('PUBLISH', rung[at], rung[at + 1]) end
end

-- One event, for the stream and (unless it is for the stream only) the live channel. `fragment` is text, or a
-- table of pieces: Redis' Lua reads every byte of each text it makes, so long ones are joined once, at the end.
local OPENING = '{"status":"'
local FINE, WRONG = ',"error":false,"timestamp":' .. NOW, ',"error":true,"timestamp":' .. NOW
local SOURCE = ',"v":1,"queue":"' .. QUEUE .. '","source":"'
local function tell(status, is_error, source, fragment, stream_only)
  if CAP == '0' then return end
  local pieces = {OPENING, status, '"'}
  if type(fragment) == 'table' then
    for n = 1, #fragment do pieces[n + 3] = fragment[n] end
  else
    pieces[4] = fragment
  end
  local n = #pieces
  pieces[n + 1], pieces[n + 2], pieces[n + 3], pieces[n + 4] = is_error and WRONG or FINE, SOURCE, source, '","seq":'
  pieces.stream_only = stream_only
  told[#told + 1] = pieces
end

-- Keys of every event about a task.
local function about(r, tail)
  return head_of(r, tail)
    .. ',"retries":' .. r[RETRIES] .. ',"retry_delay":' .. r[RETRY_DELAY]
    .. ',"execute_time":' .. (r[EXECUTE] > 0 and seconds(r[EXECUTE]) or 'null')
    .. ',"run":' .. r[RUN] .. ',"attempt":' .. r[ATTEMPT] .. ',"max_attempts":' .. r[MAX_ATTEMPTS]
    .. ',"ready_at":' .. seconds(r[READY_AT])
end

-- Keys of every event about a run of it: when and where it ran, and its span. Composed when it starts.
local function about_run(r) return r[ABOUT_RUN] end

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

-- Places at the end of the line, claimed for `count` tasks at once.
local place, places = 0, 0
local function claim_places(count)
  places = redis.call('HINCRBY', META, 'order', count)
  place = places - count
end

-- A new place at the end of its priority. Higher priority first, then first come, first served.
local function next_score(priority)
  if place == places then claim_places(1) end
  place = place + 1
  return (4095 - priority) * 1099511627776 + place
end

-- Idle workers wait on a list of their own, never on `ready` itself: popping that would lose a task.
local function wake(workers) woken = woken + workers end

-- any state → ready, at the place that r[SCORE] names; `since` is when it became runnable.
local function to_ready(id, r, tail, since)
  r[STATE], r[TOKEN], r[READY_AT] = 'ready', '', since
  if r[FIRST_READY] == 0 then r[FIRST_READY] = since end
  save(id, r, tail)
  add(READY, whole(r[SCORE]), id)
  add(READY_SINCE, whole(since), id)
end

-- What was found in an index and is no task: bytes that are no record become a dead letter as they are;
-- an entry without a record is only told. The caller has removed it from its index.
local function unreadable(id, record, source, where)
  drop(READY_SINCE, id)
  local fragment = ',"id":' .. cjson.encode(id) .. ',"task":"_unknown","retries":0,"retry_delay":0,"execute_time":null'
    .. ',"error_type":"limelight.errors.UndecodableMessage","error_message":"its record is unreadable"' .. where
  tell('error-internal', true, source, fragment .. ',"traceback":"The record of this task is unreadable."')
  if record == false then
    add(DEAD, whole(now), id)
    tell('dead', false, source, fragment .. ',"end":"dead","first_ready_at":' .. NOW)
  end
end

-- A lane numbers what one connection sends; a number seen before means: this was done, do nothing.
local function lane_is_new(lane, n)
  local last = tonumber(redis.call('HGET', LANES, lane) or '0')
  if n <= last then return false end
  set(LANES, lane, whole(n))
  add(LANES_USED, whole(now / 1000000), lane)
  return true
end

-- After a silence longer than half a lease (outage, failover, clock jump) owners get one lease of time
-- to renew before anybody is declared lost. True while that grace lasts. Where the clock went back, leases
-- that would now last too long are cut to the longest that any consumer takes.
local function grace(lease)
  local seen, longest, reap_after = unpack(redis.call('HMGET', META, 'last_seen', 'longest_lease', 'reap_after'))
  seen, longest = tonumber(seen or '0'), tonumber(longest or '0')
  set(META, 'last_seen', whole(now))
  if lease > longest then
    longest = lease
    set(META, 'longest_lease', whole(lease))
  end
  local went_back = now < seen - 1000000
  reap_after = tonumber(reap_after or '0')
  if seen > 0 and (now - seen > lease / 2 or went_back) then
    reap_after = now + longest
    set(META, 'reap_after', whole(reap_after))
  end
  if went_back then
    for _, index in ipairs({RESERVED, RUNNING}) do
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. whole(now + longest), '+inf')) do
        add(index, whole(now + longest), id)
      end
    end
  end
  return now < reap_after
end
