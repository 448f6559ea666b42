-- USES: _record _ready _enqueue
-- Shared by the scripts in which a task may end. Everything that hangs on a task is carried out where it ends,
-- so none of it is lost with a worker: what follows it is put on the queue, its group hears of it, its locks
-- are freed, whoever waits for it is told.
--
-- The followers of a task, a packed array: on success 1 item (packed, see _new.lua), 2 ids; on failure 3 item, 4 ids
-- ("" where there is none). ids: the task itself and all that hang on it.
-- A group, a field of `groups`: <group> → packed array 1 how many members, then the callback: 2 item, 3 ids.
-- A member's end: <group>:<place> → what it left; <group>:done → how many ended.
-- Ends at which nothing follows: nobody failed, and nobody succeeded.
local SKIPPED = {revoked = true, expired = true, flushed = true, purged = true}
local awaited

-- Whoever waits for the result of a task listens on a channel that it left in `awaited`.
local function ring(id)
  if awaited == nil then awaited = redis.call('EXISTS', AWAITED) == 1 end
  if not awaited then return end
  local channels = redis.call('HGET', AWAITED, id)
  if not channels then return end
  remove(AWAITED, id)
  for channel in string.gmatch(channels, '%S+') do
    rung[#rung + 1] = channel
    rung[#rung + 1] = id
  end
end

local function free_locks(r)
  for name in string.gmatch(r[LOCKS], '[^\n]+') do
    local owner = redis.call('HGET', LOCKED, name)
    if owner and string.sub(owner, 1, #r[TOKEN] + 1) == r[TOKEN] .. ' ' then remove(LOCKED, name) end
  end
  r[LOCKS] = ''
end

-- A member of a group ended; the last one puts the callback on the queue.
local function tell_group(member, value, source, r)
  local group = string.match(member, '^(.*):%d+$')
  local packed = redis.call('HGET', GROUPS, group)
  if not packed or redis.call('HEXISTS', GROUPS, member) == 1 then return end
  local ok, g = pcall(cmsgpack.unpack, packed)
  if not ok then return end
  redis.call('HSET', GROUPS, member, value)
  if redis.call('HINCRBY', GROUPS, group .. ':done', 1) == tonumber(g[1]) then
    break_promise(g[3])
    enqueue(cmsgpack.unpack(g[2]), source, '', r)
    wake(1)
  end
end

-- The callback of a group has ended: what its members left is not needed any more.
local function forget_group(group)
  local packed = redis.call('HGET', GROUPS, group)
  if not packed then return end
  local ok, g = pcall(cmsgpack.unpack, packed)
  for n = 0, (ok and tonumber(g[1]) or 0) - 1 do remove(GROUPS, group .. ':' .. n) end
  remove(GROUPS, group .. ':done')
  remove(GROUPS, group)
end

-- A task ended as `how`; `value` is what it leaves for others: its result or its failure, encoded.
local function ended(id, r, tail, how, value, source)
  remove(REVOKED, id)
  ring(id)
  if r[LOCKS] ~= '' then free_locks(r) end
  local went_on = false
  if r[FOLLOWERS_LENGTH] > 0 then
    local ok, f = pcall(cmsgpack.unpack, followers_of(r, tail))
    if ok then
      local at, other = 3, 2
      if how == 'success' then at, other = 1, 4 end
      break_promise(f[other])
      if SKIPPED[how] then
        break_promise(f[at + 1])
      elseif f[at] ~= '' then
        local follower = string.match(f[at + 1], '^%S+')
        remove(PROMISED, follower)
        if redis.call('HEXISTS', TASKS, follower) == 0 then  -- else an earlier life of this task put it there
          enqueue(cmsgpack.unpack(f[at]), source, value, r)
          wake(1)
        end
        went_on = how == 'success'
      end
    end
  end
  if r[GROUP] ~= '' and not went_on then tell_group(r[GROUP], SKIPPED[how] and '' or value, source, r) end
  if r[GATHERS] ~= '' and how ~= 'dead' then forget_group(r[GATHERS]) end
end

-- any state → dead: the task stays, as a dead letter with its reason (a JSON fragment).
local function to_dead(id, r, tail, reason, value, source)
  r[STATE] = 'dead'
  ended(id, r, tail, 'dead', value, source)
  r[TOKEN] = ''
  save(id, r, tail)
  add(DEAD, whole(now), id)
  set(DEAD_REASONS, id, reason)
end
