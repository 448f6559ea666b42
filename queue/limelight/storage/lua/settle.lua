-- T5 to T8  running → done / ready / scheduled / dead: one run closes, and what becomes of its task is told.
-- KEYS: running running_since tasks ready ready_since scheduled dead revoked periodic_runs events meta wake result…
-- ARGV: per task: 6 id, 7 token, 8 status of the closing event, 9 outcome, 10 fate: end, retry, dead or back,
--       11 fragment of the closing event, 12 result ("" for none), 13 result's life in ms,
--       14 µs until the retry, 15 next retry delay (JSON number), 16 end (how the task ended, "" if it did not),
--       17 traceback fragment, for the closing event alone
-- Returns: per task 1 settled; 0 settled before, or no longer the caller's: nothing written, nothing told.
-- The first write removes the lease, so a full Redis refuses nothing that follows.
local ERRORS = {['error-task'] = true, ['timeout'] = true, ['error-storing-result'] = true}
local RESULTS = 12  -- keys before the results

local function back_off(id, r, tail, delay, next_delay)
  r[SCORE] = next_score(r[PRIORITY])
  if delay > 0 then
    r[STATE], r[TOKEN], r[EXECUTE], r[READY_AT] = 'scheduled', '', now + delay, now + delay
    r[BACKED_OFF] = r[BACKED_OFF] + delay
    local scheduled = about(r, tail) .. r[WHERE]
    r[RETRY_DELAY] = next_delay
    save(id, r, tail)
    redis.call('ZADD', SCHEDULED, whole(r[EXECUTE]), id)
    tell('scheduled', false, 'worker', scheduled)
  else
    r[RETRY_DELAY] = next_delay
    to_ready(id, r, tail, now)
    wake(1)
  end
end

local function settle(at, result_key)
  local id, token, status, outcome, fate = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local fragment, result, ttl, how = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 10]
  local traceback = ARGV[at + 11]
  local r, tail = load(id)
  if not r or r[TOKEN] ~= token or r[STATE] ~= 'running' then return 0 end

  redis.call('ZREM', RUNNING, id)
  redis.call('ZREM', RUNNING_SINCE, id)
  r[RAN] = r[RAN] + math.max(0, now - r[STARTED])
  if result ~= '' then
    local stored = redis.pcall('SET', result_key, result, 'PX', ttl)
    if type(stored) == 'table' and stored.err and status == 'finished' then
      status, outcome, how = 'error-storing-result', 'result_error', 'result_error'
      fragment = fragment .. ',"error_type":"limelight.errors.RedisRefused","error_message":'
        .. cjson.encode(stored.err)
      traceback = ',"traceback":' .. cjson.encode('Redis refused the result: ' .. stored.err)
    end
  end
  if outcome == 'success' and r[PERIODIC] ~= '' then
    redis.call('HSET', PERIODIC_RUNS, r[PERIODIC] .. ':success', whole(now))
  end

  local closing = about(r, tail) .. about_run(r) .. fragment
  if status ~= 'retrying' then
    if fate == 'end' then
      redis.call('HDEL', TASKS, id)
      redis.call('HDEL', REVOKED, id)
      tell(status, ERRORS[status] or false, 'worker',
        closing .. traceback .. ',"outcome":"' .. outcome .. '"' .. about_end(r, how))
      return 1
    end
    tell(status, ERRORS[status] or false, 'worker', closing .. traceback .. ',"outcome":"' .. outcome .. '"')
  end
  if fate == 'dead' then
    to_dead(id, r, tail)
    tell('dead', false, 'worker', closing .. about_end(r, how))
  elseif fate == 'back' then
    r[ATTEMPT] = r[ATTEMPT] - 1
    to_ready(id, r, tail, now)
    wake(1)
  else
    r[RETRIES_USED] = r[RETRIES_USED] + 1
    if status == 'retrying' then
      r[MAX_ATTEMPTS] = r[MAX_ATTEMPTS] + 1
      tell('retrying', false, 'worker', closing .. ',"outcome":"' .. outcome .. '"')
    else
      r[RETRIES] = r[RETRIES] - 1
      tell('retrying', false, 'worker', about(r, tail) .. about_run(r))
    end
    back_off(id, r, tail, tonumber(ARGV[at + 8]), ARGV[at + 9])
  end
  return 1
end

local replies, n = {}, 0
for at = 6, #ARGV, 12 do
  n = n + 1
  replies[n] = settle(at, KEYS[RESULTS + n])
end
return replies
