-- T1  – → ready / delayed. Puts tasks on the queue, all or none, once per number of a lane.
-- KEYS: lanes lanes_used tasks ready ready_since delayed events meta wake
-- USES: _enqueue
-- ARGV: 6 lane, 7 its number, then the items of _enqueue.lua
-- Returns: 1 done; 0 this number was done before; the id of a task that is on the queue already (nothing done).
for at = 8, #ARGV, ITEM do
  if redis.call('HEXISTS', TASKS, ARGV[at]) == 1
    and tonumber(ARGV[7]) > tonumber(redis.call('HGET', LANES, ARGV[6]) or '0') then
    return ARGV[at]
  end
end
if not lane_is_new(ARGV[6], tonumber(ARGV[7])) then return 0 end
for at = 8, #ARGV, ITEM do enqueue(at, 'producer') end
wake((#ARGV - 7) / ITEM)
return 1
