-- T2  ready → reserved, silently; with names given also T3 reserved → running, in the same trip.
-- KEYS: requests ready ready_since reserved running running_since tasks dead dead_reasons revoked delayed promised groups locked awaited wake events meta
-- USES: _unreadable _start
-- ARGV: 6 owner, 7 its request number, 8 how many, 9 lease µs,
--       10 names this worker can start at once ("\nname\nname\n"), "" to start nothing,
--       11 where (fragment), 12 µs after which a trace is too old to be joined,
--       13 "1" to be handed also what ended instead of being started, as what it ended,
--       14 where, packed (see _new.lua),
--       then per task that may start: span id, trace id for a fresh trace
-- Returns: {delayed tasks waiting for a worker, tasks still ready, {handed…}, …}
-- Guard: a request number that was answered before is answered again with what is still the owner's.
local owner, request, lease = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[9])
local token = owner .. ':' .. ARGV[7]
local reply, ids = {redis.call('ZCARD', DELAYED), 0}, {}

local before = redis.call('HGET', REQUESTS, owner)
if before then
  local ok, old = pcall(cmsgpack.unpack, before)
  if ok and request <= old[1] then
    for i = 2, #old do
      local r, tail = load(old[i])
      if r and r[TOKEN] == token then
        redis.call('ZADD', r[STATE] == 'running' and RUNNING or RESERVED, 'XX', whole(now + lease), old[i])
        reply[#reply + 1] = handed(old[i], r, tail, r[STATE] == 'running' and 'started' or 'reserved')
      end
    end
    return reply
  end
end
if redis.call('HEXISTS', META, 'paused') == 1 then return reply end

local heads = redis.call('ZRANGE', READY, 0, tonumber(ARGV[8]) - 1)
if #heads > 0 then
  local raws = redis.call('HMGET', TASKS, unpack(heads))
  local records, tails, taken = {}, {}, 0
  for n, id in ipairs(heads) do
    records[n], tails[n] = unpacked(raws[n])
    -- A task that came back from a lost worker starts alone: it may be what killed it.
    local alone = records[n] and records[n][REDELIVERIES] > 0
    if alone and n > 1 then break end
    taken = n
    if alone then break end
  end
  redis.call('ZREM', READY, unpack(heads, 1, taken))
  for n = 1, taken do
    local id, r, tail = heads[n], records[n], tails[n]
    if r then
      ids[#ids + 1] = id
      r[STATE], r[TOKEN] = 'reserved', token
      local verdict = 'reserved'
      if string.find(ARGV[10], '\n' .. r[NAME] .. '\n', 1, true) then
        local at = 13 + 2 * #ids
        verdict = begin(id, r, tail, lease, ARGV[11], ARGV[14], ARGV[at], ARGV[at + 1], tonumber(ARGV[12]))
      else
        save(id, r, tail)
        add(RESERVED, whole(now + lease), id)
      end
      if verdict == 'started' or verdict == 'reserved' or ARGV[13] == '1' then
        reply[#reply + 1] = handed(id, r, tail, verdict)
      end
    else
      unreadable(id, r, 'worker', ARGV[11])
    end
  end
  reply[2] = redis.call('ZCARD', READY) + woken  -- with what became ready where a task ended unstarted
end
set(REQUESTS, owner, cmsgpack.pack({request, unpack(ids)}))
if reply[1] == 0 and reply[2] == 0 then redis.call('DEL', WAKE) end
return reply
