-- T1  – → ready / delayed. Puts tasks on the queue, all or none, once per number of a lane.
-- KEYS: lanes lanes_used tasks ready ready_since delayed promised groups events meta wake
-- USES: _places _new _many _wake
-- ARGV: 6 lane, 7 its number, 8 how many groups, then per group: its name, its packed array (see _end.lua),
--       then the items, word by word (see _new.lua)
-- Returns: 1 done; 0 this number was done before; the id of a task that is on the queue already (nothing done).
-- Made to cost little more than its commands for one task, and less for many.
local call, first = redis.call, 9 + 2 * tonumber(ARGV[8])
local count = (#ARGV - first + 1) / ITEM
if tonumber(ARGV[7]) <= tonumber(call('HGET', LANES, ARGV[6]) or '0') then return 0 end
if count > 1 then
  for at = first, #ARGV, ITEM do
    if call('HEXISTS', TASKS, ARGV[at]) == 1 then return ARGV[at] end
  end
end

local records, ready, since, delayed, promised = {}, {}, {}, {}, ''
for at = 10, first - 1, 2 do promised = promised .. ' ' .. cmsgpack.unpack(ARGV[at])[3] end
claim_places(count)
for n = 1, count do
  local at = first + ITEM * (n - 1)
  local id, followers = ARGV[at], ARGV[at + 9]
  local due, expires = times(ARGV[at + 8])
  local score = next_score(tonumber(ARGV[at + 7]))
  records[2 * n - 1] = id
  records[2 * n] = new_record(due, expires, score, ARGV[at + 1], ARGV[at + 2], followers, '', ARGV[at + 10])
  if due > now then
    local to = #delayed
    delayed[to + 1], delayed[to + 2] = whole(due), id
  else
    local to = #ready
    ready[to + 1], ready[to + 2] = whole(score), id
    since[to + 1], since[to + 2] = NOW_US, id
  end
  if followers ~= '' then
    local ok, f = pcall(cmsgpack.unpack, followers)
    if ok then promised = promised .. ' ' .. f[2] .. ' ' .. f[4] end
  end
end
-- A single task is looked for and put there at once.
if count > 1 then
  many('HSET', TASKS, records)
elseif call('HSETNX', TASKS, records[1], records[2]) == 0 then
  return records[1]
end
call('HSET', LANES, ARGV[6], ARGV[7])
call('ZADD', LANES_USED, string.sub(NOW_US, 1, -7), ARGV[6])
many('ZADD', READY, ready)
many('ZADD', READY_SINCE, since)
many('ZADD', DELAYED, delayed)
for at = 9, first - 1, 2 do call('HSET', GROUPS, ARGV[at], ARGV[at + 1]) end
if promised ~= '' then
  for id in string.gmatch(promised, '%S+') do call('HSET', PROMISED, id, '1') end
end

if CAP ~= '0' then
  local seq = call('HINCRBY', META, 'seq', count) - count
  if seq == 0 then call('HSET', META, 'epoch', EMITTER .. '-' .. NOW_US) end
  local opening = entry_opening(ENQUEUED_POSITIONS, '\168producer\168enqueued')
  for n = 1, count do
    local at = first + ITEM * (n - 1)
    local event = new_event(numbered(opening, seq + n), times(ARGV[at + 8]), ARGV[at + 1], ARGV[at + 3], ARGV[at + 4],
      ARGV[at + 5], ARGV[at + 6], NIL)
    if n == count and trims(seq + n, n) then
      call('XADD', EVENTS, 'MAXLEN', '~', CAP, '*', 'm', event)
    else
      call('XADD', EVENTS, '*', 'm', event)
    end
  end
end
wake_now(count)
return 1
