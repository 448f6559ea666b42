-- T1  – → ready / delayed. Puts tasks on the queue, all or none, once per number of a lane.
-- KEYS: lanes lanes_used tasks ready ready_since delayed promised groups events meta wake
-- USES: _new _many _wake
-- ARGV: 6 lane, 7 its number, 8 how many groups, then per group: its name, its packed array (see _end.lua),
--       then the items of _new.lua
-- Returns: 1 done; 0 this number was done before; the id of a task that is on the queue already (nothing done).
-- Made to cost little more than its commands for one task, and less for many.
local call, first = redis.call, 9 + 2 * tonumber(ARGV[8])
if tonumber(ARGV[7]) <= tonumber(call('HGET', LANES, ARGV[6]) or '0') then return 0 end
local tasks = {}
for at = first, #ARGV, ITEM do
  local task = opened(ARGV[at])
  if call('HEXISTS', TASKS, task[1]) == 1 then return task[1] end
  tasks[#tasks + 1] = task
end

local function promise(ids)
  for id in string.gmatch(ids, '%S+') do call('HSET', PROMISED, id, '1') end
end

claim_places(#tasks)
call('HSET', LANES, ARGV[6], ARGV[7])
call('ZADD', LANES_USED, string.sub(NOW_US, 1, -7), ARGV[6])
for at = 9, first - 1, 2 do
  call('HSET', GROUPS, ARGV[at], ARGV[at + 1])
  promise(cmsgpack.unpack(ARGV[at + 1])[5])
end
local records, ready, since, delayed = {}, {}, {}, {}
for n, task in ipairs(tasks) do
  local id, at, score = task[1], first + ITEM * (n - 1), next_score(task[10])
  local followers = ARGV[at + 1]
  records[2 * n - 1] = id
  records[2 * n] = new_record(task, score, followers, '', ARGV[at + 2])
  if task.due > now then
    local to = #delayed
    delayed[to + 1], delayed[to + 2] = whole(task.due), id
  else
    local to = #ready
    ready[to + 1], ready[to + 2] = whole(score), id
    since[to + 1], since[to + 2] = NOW_US, id
  end
  if followers ~= '' then
    local ok, f = pcall(cmsgpack.unpack, followers)
    if ok then promise(f[4] .. ' ' .. f[8]) end
  end
  tell_enqueued(task, 'producer', task[5])
end
many('HSET', TASKS, records)
many('ZADD', READY, ready)
many('ZADD', READY_SINCE, since)
many('ZADD', DELAYED, delayed)
write_events()
wake_now(#tasks)
return 1
