-- T5 to T8  running → done / ready / scheduled / dead: runs close, and what becomes of their tasks is told.
-- KEYS: running running_since tasks ready ready_since scheduled delayed dead dead_reasons revoked periodic_runs promised groups locked awaited wake events meta result…
-- USES: _end
-- ARGV: per task: a packed array, its closing event's keys from "duration" on, packed ("" if it is told as JSON), and
--       what it leaves (result or failure, "" for nothing). The array:
--       1 id, 2 token, 3 status of the closing event, 4 outcome, 5 fate: end, retry, dead or back,
--       6 end (how the task ended, "" if it did not), 7 fragment of the closing event,
--       8 fragment with the traceback, for the closing event alone, 9 life of the result in ms, 0: not to be stored,
--       10 µs until the retry, 11 retry delay after that (JSON number), 12 the retry is granted on top of those left,
--       13 the time until the retry counts as parked, 14 how many further keys take the failure,
--       15 reason (fragment with the error's type and message)
-- Returns: per task 1 settled; 0 settled before, or no longer the caller's: nothing written, nothing told.
-- The first write removes the leases, so a full Redis refuses nothing that follows.
local ERRORS = {['error-task'] = true, ['timeout'] = true, ['error-storing-result'] = true}
local key = 18  -- keys before the results

local function back_off(id, r, tail, delay, next_delay, parked)
  r[SCORE] = next_score(r[PRIORITY])
  if delay > 0 then
    local phase = parked and PARKED or BACKED_OFF
    r[STATE], r[TOKEN], r[EXECUTE], r[READY_AT] = 'scheduled', '', now + delay, now + delay
    r[phase] = r[phase] + delay
    tell('scheduled', false, 'worker', about(r, tail) .. about_place(r))
    r[RETRY_DELAY] = next_delay
    save(id, r, tail)
    add(SCHEDULED, whole(r[EXECUTE]), id)
  else
    r[RETRY_DELAY] = next_delay
    to_ready(id, r, tail, now)
    wake(1)
  end
end

-- Keeps what a task leaves; a result that Redis refuses turns its success into that failure.
local function store(s, value, first, ttl)
  local stored = redis.pcall('SET', KEYS[first], value, 'PX', ttl)
  if type(stored) == 'table' and stored.err and s[3] == 'finished' then
    s[3], s[4], s[6] = 'error-storing-result', 'result_error', 'result_error'
    s[15] = ',"error_type":"limelight.errors.RedisRefused","error_message":' .. cjson.encode(stored.err)
    s[7] = s[7] .. s[15]
    s[8] = s[8] .. ',"traceback":' .. cjson.encode('Redis refused the result: ' .. stored.err)
  elseif s[6] ~= '' and s[6] ~= 'success' then
    for heir = first + 1, first + s[14] do redis.pcall('SET', KEYS[heir], value, 'PX', ttl) end
  end
end

local function retry(id, r, tail, s)
  local closing = s[3] == 'retrying' and {'', about(r, tail), about_run(r), s[7], ',"outcome":"', s[4], '"'}
  r[RETRIES_USED] = r[RETRIES_USED] + 1
  if s[12] then
    r[MAX_ATTEMPTS] = r[MAX_ATTEMPTS] + 1
  else
    r[RETRIES] = r[RETRIES] - 1
  end
  tell('retrying', false, 'worker', closing or {'', about(r, tail), about_run(r)})
  back_off(id, r, tail, s[10], s[11], s[13])
end

-- A periodic run succeeded: every due time up to its enqueueing is met.
local function met(r)
  set(PERIODIC_RUNS, r[PERIODIC] .. ':success', whole(now))
  local before = tonumber(redis.call('HGET', PERIODIC_RUNS, r[PERIODIC] .. ':met') or '0')
  if r[ENQUEUED] > before then set(PERIODIC_RUNS, r[PERIODIC] .. ':met', whole(r[ENQUEUED])) end
end

local END_POSITIONS = 44
local function packed_end(r, how)
  return struct.pack('>Bc0BdBdBdBdBdc0', 160 + #how, how, 203, r[FIRST_READY] / 1000000, 203, waited(r) / 1000000,
    203, r[RAN] / 1000000, 203, r[BACKED_OFF] / 1000000, 203, r[PARKED] / 1000000, cmsgpack.pack(r[RETRIES_USED]))
end

local function tell_closed(s, r, tail, packed)
  if packed ~= '' and s[3] == 'finished' then
    local live = about_live_run(r, tail)
    if live then
      live[4], live[5], live[6], live[7], live[8], live[9] = s[7], s[8], ',"outcome":"', s[4], '"', about_end(r, s[6])
    end
    tell_packed('finished', 'worker', END_POSITIONS, packed_about(r, tail) .. packed .. packed_end(r, s[6]), live)
    return
  end
  tell(s[3], ERRORS[s[3]] or false, 'worker', {
    '', about(r, tail), about_run(r), s[7], s[8], ',"outcome":"', s[4], '"',
    s[5] == 'end' and about_end(r, s[6]) or '',
  })
end

local function settle(s, packed, value, r, tail, first)
  local id = s[1]
  drop(RUNNING_SINCE, id)
  r[RAN] = r[RAN] + math.max(0, now - r[STARTED])
  if value ~= '' and s[9] > 0 then store(s, value, first, s[9]) end
  if s[4] == 'success' and r[PERIODIC] ~= '' then met(r) end

  if s[3] ~= 'retrying' then tell_closed(s, r, tail, packed) end
  if s[5] == 'end' then
    remove(TASKS, id)
    ended(id, r, tail, s[6], value, 'worker')
  elseif s[5] == 'dead' then
    tell('dead', false, 'worker', {'', about(r, tail), about_run(r), s[7], about_end(r, s[6])})
    to_dead(id, r, tail, s[15], value, 'worker')
  else
    if r[LOCKS] ~= '' then free_locks(r) end
    if s[5] == 'back' then
      r[ATTEMPT] = r[ATTEMPT] - 1
      to_ready(id, r, tail, now)
      wake(1)
    else
      retry(id, r, tail, s)
    end
  end
end

local given, ids, seen = {}, {}, {}
for at = 6, #ARGV, 3 do
  local s = cmsgpack.unpack(ARGV[at])
  given[#given + 1], ids[#ids + 1] = s, s[1]
end
local raws, mine, replies = redis.call('HMGET', TASKS, unpack(ids)), {}, {}
for n, s in ipairs(given) do
  local r, tail = unpacked(raws[n])
  replies[n] = 0
  if r and r[TOKEN] == s[2] and r[STATE] == 'running' and not seen[s[1]] then
    seen[s[1]], replies[n] = true, 1
    mine[#mine + 1] = {n, s, r, tail, key + 1}
  end
  key = key + 1 + s[14]
end
if #mine == 0 then return replies end
for n, one in ipairs(mine) do ids[n] = one[2][1] end
redis.call('ZREM', RUNNING, unpack(ids, 1, #mine))
for _, one in ipairs(mine) do
  local at = 3 + 3 * one[1]
  settle(one[2], ARGV[at + 1], ARGV[at + 2], one[3], one[4], one[5])
end
return replies
