-- USES: _end
-- Shared by the scripts that may start a run (T3). What is decided at the start is decided here, in Redis:
-- a task revoked in time, or too late for its time, never runs. Returns "started" or the verdict that ended
-- the task instead.

-- Marks of revocation: by id, or "@<task name>" for all of a name: "0" for good, µs until which, or "once".
local marks
local function is_revoked(id, name)
  if marks == nil then marks = redis.call('HLEN', REVOKED) end
  if marks == 0 then return false end
  local by_id, by_name = unpack(redis.call('HMGET', REVOKED, id, '@' .. name))
  if by_id and (by_id == '0' or tonumber(by_id) > now) then return true end
  if not by_name then return false end
  if by_name == 'once' then
    redis.call('HDEL', REVOKED, '@' .. name)
    return true
  end
  return by_name == '0' or tonumber(by_name) > now
end

local function begin(id, r, tail, lease, where, place, span_id, fresh_trace_id, trace_age)
  local verdict = is_revoked(id, r[NAME]) and 'revoked' or (r[EXPIRES] > 0 and r[EXPIRES] <= now and 'expired')
  if verdict then
    drop(READY_SINCE, id)
    remove(TASKS, id)
    tell(verdict, false, 'worker',
      about(r, tail) .. about_end(r, verdict) .. about_trace(r) .. ',"span_id":"' .. span_id .. '"' .. where)
    ended(id, r, tail, verdict, '', 'worker')
    return verdict
  end
  local links = ''
  if r[LAST_SPAN] ~= '' then
    links = '{"trace_id":"' .. string.sub(r[LAST_SPAN], 1, 32) .. '","span_id":"' .. string.sub(r[LAST_SPAN], 34) .. '"}'
  end
  if now - r[TRACED_AT] > trace_age then
    if r[PARENT_SPAN] ~= '' then
      links = links .. (links ~= '' and ',' or '') .. '{"trace_id":"' .. r[TRACE_ID] .. '","span_id":"' .. r[PARENT_SPAN] .. '"}'
    end
    r[TRACE_ID], r[PARENT_SPAN], r[TRACED_AT] = fresh_trace_id, '', now
  end

  drop(READY_SINCE, id)
  add(RUNNING, whole(now + lease), id)
  add(RUNNING_SINCE, whole(now), id)
  r[STATE], r[RUN], r[ATTEMPT], r[STARTED] = 'running', r[RUN] + 1, r[ATTEMPT] + 1, now
  r[LAST_SPAN] = r[TRACE_ID] .. ':' .. span_id
  r[RUN_PIECE] = struct.pack('>c0c0BdBdBdc0', packed_span(r, span_id, r[PARENT_SPAN]), place, 203, now / 1000000,
    203, math.max(0, now - r[READY_AT]) / 1000000, 203, r[TRACED_AT] / 1000000,
    links ~= '' and cmsgpack.pack('[' .. links .. ']') or NIL)
  r[RUN_LENGTH] = #r[RUN_PIECE]
  save(id, r, tail)
  tell_packed('started', 'worker', 32, packed_about(r, tail), about_live_run(r, tail))
  return 'started'
end

-- Ids of the tasks that would follow the success of one, space between.
local function heirs(r, tail)
  if r[FOLLOWERS_LENGTH] == 0 then return '' end
  local ok, f = pcall(cmsgpack.unpack, followers_of(r, tail))
  return ok and f[2] or ''
end

-- What a worker is told of a task that it holds, or that ended at its start: its id, the rest packed, its input and its body.
local function handed(id, r, tail, verdict)
  return {
    id,
    cmsgpack.pack({
      r[TOKEN], verdict, r[NAME], r[RUN], r[ATTEMPT], r[RETRIES], r[RETRY_DELAY], r[REDELIVERIES],
      r[LAST_SPAN], r[TRACE_FLAGS], r[TRACED_AT], r[STARTED], r[GATHERS],
      r[GROUP] ~= '' or r[FOLLOWERS_LENGTH] > 0, r[PRIORITY], r[EXPIRES], heirs(r, tail), r[EXECUTE],
    }),
    input_of(r, tail),
    body_of(r, tail),
  }
end
