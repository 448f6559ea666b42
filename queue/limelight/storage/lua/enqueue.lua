-- T1  – → ready / delayed. Puts tasks on the queue, all or none, once per number of a lane.
-- KEYS: lanes lanes_used tasks ready ready_since delayed promised groups events meta wake
-- USES: _enqueue
-- ARGV: 6 lane, 7 its number, 8 how many groups, then per group: its name, its packed array (see _end.lua),
--       then the items of _enqueue.lua
-- Returns: 1 done; 0 this number was done before; the id of a task that is on the queue already (nothing done).
local first = 9 + 2 * tonumber(ARGV[8])
local count = (#ARGV - first + 1) / ITEM
if tonumber(ARGV[7]) <= tonumber(redis.call('HGET', LANES, ARGV[6]) or '0') then return 0 end
for at = first, #ARGV, ITEM do
  local id = cmsgpack.unpack(ARGV[at])[1]
  if redis.call('HEXISTS', TASKS, id) == 1 then return id end
end
lane_is_new(ARGV[6], tonumber(ARGV[7]))
if count > 1 then claim_places(count) end
for at = 9, first - 1, 2 do
  set(GROUPS, ARGV[at], ARGV[at + 1])
  promise(cmsgpack.unpack(ARGV[at + 1])[5])
end
for at = first, #ARGV, ITEM do enqueue(ARGV[at], ARGV[at + 1], ARGV[at + 2], 'producer', '') end
wake(count)
return 1
