-- Shared by the scripts that may start a run (T3). What is decided at the start is decided here, in Redis:
-- a task revoked in time never runs. Returns "started" or the verdict that ended the task instead.
local function begin(id, r, tail, lease, where, span_id, fresh_trace_id, trace_age)
  local revoked_until = redis.call('HGET', REVOKED, id)
  if revoked_until and (revoked_until == '0' or tonumber(revoked_until) > now) then
    redis.call('ZREM', RESERVED, id)
    redis.call('ZREM', READY_SINCE, id)
    redis.call('HDEL', TASKS, id)
    redis.call('HDEL', REVOKED, id)
    tell('revoked', false, 'worker',
      about(r, tail) .. about_end(r, 'revoked') .. about_trace(r) .. ',"span_id":"' .. span_id .. '"' .. where)
    return 'revoked'
  end
  local links, traced = {}, ',"trace_id":"'
  if r[LAST_SPAN] ~= '' then links[#links + 1] = r[LAST_SPAN] end
  if now - r[TRACED_AT] > trace_age then
    links[#links + 1] = '{"trace_id":"' .. r[TRACE_ID] .. '","span_id":"' .. r[PARENT_SPAN] .. '"}'
    r[TRACE_ID], r[PARENT_SPAN], r[TRACED_AT] = fresh_trace_id, '', now
  end
  traced = traced .. r[TRACE_ID] .. '","span_id":"' .. span_id .. '"'
  if r[PARENT_SPAN] ~= '' then traced = traced .. ',"parent_span_id":"' .. r[PARENT_SPAN] .. '"' end
  traced = traced .. ',"trace_flags":' .. r[TRACE_FLAGS] .. r[TRACE_STATE]
    .. ',"trace_started_at":' .. seconds(r[TRACED_AT])
  if #links > 0 then traced = traced .. ',"links":[' .. table.concat(links, ',') .. ']' end

  redis.call('ZREM', RESERVED, id)
  redis.call('ZREM', READY_SINCE, id)
  redis.call('ZADD', RUNNING, whole(now + lease), id)
  redis.call('ZADD', RUNNING_SINCE, whole(now), id)
  r[STATE], r[RUN], r[ATTEMPT], r[STARTED] = 'running', r[RUN] + 1, r[ATTEMPT] + 1, now
  r[WHERE], r[SPAN] = where, traced
  r[LAST_SPAN] = '{"trace_id":"' .. r[TRACE_ID] .. '","span_id":"' .. span_id .. '"}'
  save(id, r, tail)
  tell('started', false, 'worker', about(r, tail) .. about_run(r))
  return 'started'
end

-- What a worker is told of a task it holds.
local function handed(id, r, tail, verdict)
  return {
    id, r[TOKEN], verdict, r[NAME], r[RUN], r[ATTEMPT], r[RETRIES], r[RETRY_DELAY], r[REDELIVERIES],
    r[LAST_SPAN], r[TRACE_FLAGS], whole(r[TRACED_AT]), whole(r[STARTED]),
    string.sub(tail, r[HEAD_LENGTH] + 1),
  }
end
