-- Puts a task back into the index that its record names, and takes it out of every other; an entry without a
-- record leaves its index. Told as error-internal, because no worker should ever have to notice.
-- KEYS: tasks delayed scheduled ready reserved running dead ready_since running_since events meta wake
-- USES: _record _unreadable
-- ARGV: 6 id, 7 where (fragment)
-- Returns: the index that it is in now, "gone" for an entry that was taken out; 0 when nothing was wrong with it.
local INDEXES = {
  delayed = DELAYED, scheduled = SCHEDULED, ready = READY, reserved = RESERVED, running = RUNNING, dead = DEAD,
}
local id, where = ARGV[6], ARGV[7]
local r, tail = load(id)
local state = r and r[STATE]
local own, others = false, {}
for name, index in pairs(INDEXES) do
  if redis.call('ZSCORE', index, id) then
    if r and name ~= state or r == nil then others[#others + 1] = index else own = true end
  end
end
if r and not INDEXES[state] or own and #others == 0 or r == nil and #others == 0 then return 0 end
local lease = tonumber(redis.call('HGET', META, 'longest_lease') or '0')

for _, index in ipairs(others) do redis.call('ZREM', index, id) end
if not r then
  redis.call('ZREM', RUNNING_SINCE, id)
  unreadable(id, r, 'reaper', where)
  return r == nil and 'gone' or 'dead'
end

-- A worker that still runs it renews its lease; else the reaper takes it when that is over.
local SCORES = {
  delayed = r[EXECUTE], scheduled = r[EXECUTE], ready = r[SCORE],
  reserved = now + lease, running = now + lease, dead = now,
}
if not own then redis.call('ZADD', INDEXES[state], whole(SCORES[state]), id) end
if state == 'running' then
  redis.call('ZADD', RUNNING_SINCE, whole(r[STARTED]), id)
else
  redis.call('ZREM', RUNNING_SINCE, id)
end
if state == 'ready' or state == 'reserved' then
  redis.call('ZADD', READY_SINCE, whole(r[READY_AT]), id)
  if state == 'ready' then wake(1) end
else
  redis.call('ZREM', READY_SINCE, id)
end
local why = own and 'it stood in two indexes' or 'it was missing from the index of its state'
tell('error-internal', true, 'reaper', about(r, tail) .. where
  .. ',"error_type":"limelight.mended","error_message":"' .. why .. ' (' .. state .. '), and was put right by doctor"'
  .. ',"traceback":"The records of Redis did not fit together: ' .. why .. '."')
return state
