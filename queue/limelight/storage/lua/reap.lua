-- T11, T12  A lease is over: running → ready or dead (told as lost), reserved → ready (silently).
-- KEYS: reserved running running_since tasks ready ready_since dead dead_reasons revoked delayed promised groups locked awaited wake events meta result
-- USES: _unreadable _lost
-- ARGV: 6 id, 7 lease µs, 8 what it leaves if this is its end, 9 life of that in ms, 0: not to be stored,
--       10 where (fragment)
-- Returns: "returned", "redelivered", "dead", or 0 when the lease is not over (any more).
local id, lease = ARGV[6], tonumber(ARGV[7])
local deadline = redis.call('ZSCORE', RUNNING, id) or redis.call('ZSCORE', RESERVED, id)
if not deadline or tonumber(deadline) >= now then return 0 end
local r, tail = load(id)
redis.call('ZREM', RUNNING, id)
redis.call('ZREM', RESERVED, id)
if not r then
  drop(RUNNING_SINCE, id)
  unreadable(id, r, 'reaper', ARGV[10])
  return 0
end
if r[STATE] ~= 'running' then
  to_ready(id, r, tail, r[READY_AT])
  wake(1)
  return 'returned'
end

-- The run ends where its owner was last heard of.
return lose(id, r, tail,
  ',"error_type":"limelight.worker_lost","error_message":"the worker stopped renewing its lease"',
  ',"traceback":"The worker that ran this task stopped renewing its lease; it was killed, or cut off from Redis."',
  ARGV[10], tonumber(deadline) - lease, ARGV[8], ARGV[9])
