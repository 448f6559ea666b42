-- USES: _end
-- Shared by the scripts that take a running task from an owner that is gone (T11): told as lost, then it is on the
-- queue again, or past its limit a dead letter. `why`: fragment with the error's type and message; `traceback`: a
-- fragment; `where`: who tells; `until_us`: where the run is taken to have ended; `value`: what it leaves if this
-- is its end, stored for `ttl` ms ("0": not at all). The caller has removed it from `running`.
local function lose(id, r, tail, why, traceback, where, until_us, value, ttl)
  drop(RUNNING_SINCE, id)
  r[RAN] = r[RAN] + math.max(0, now - r[STARTED])
  tell('lost', true, 'reaper', {
    '',
    about(r, tail), about_run(r), why, traceback,
    ',"span_end":"', whole(math.max(r[STARTED], until_us)), '000","outcome":"lost"',
  })
  r[REDELIVERIES] = r[REDELIVERIES] + 1
  if r[REDELIVERIES] > r[MAX_REDELIVERIES] then
    if value ~= '' and ttl ~= '0' then redis.pcall('SET', RESULT, value, 'PX', ttl) end
    tell('dead', false, 'reaper', {'', about(r, tail), about_run(r), why, about_end(r, 'dead')})
    to_dead(id, r, tail, why, value, 'reaper')
    return 'dead'
  end
  if r[LOCKS] ~= '' then free_locks(r) end
  r[ATTEMPT] = r[ATTEMPT] - 1
  to_ready(id, r, tail, now)
  wake(1)
  tell('redelivered', false, 'reaper', {'', about(r, tail), where})
  return 'redelivered'
end
