-- T2  ready → reserved, silently; with names given also T3 reserved → running, in the same trip.
-- KEYS: requests ready ready_since reserved running running_since tasks dead revoked delayed wake events meta
-- USES: _start
-- ARGV: 6 owner, 7 its request number, 8 how many, 9 lease µs,
--       10 names this worker can start at once ("\nname\nname\n"), "" to start nothing,
--       11 where (fragment), 12 µs after which a trace is too old to be joined,
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

for _, id in ipairs(redis.call('ZRANGE', READY, 0, tonumber(ARGV[8]) - 1)) do
  local r, tail = load(id)
  -- A task that came back from a lost worker starts alone: it may be what killed it.
  if r and r[REDELIVERIES] > 0 and #ids > 0 then break end
  redis.call('ZREM', READY, id)
  if r then
    ids[#ids + 1] = id
    r[STATE], r[TOKEN] = 'reserved', token
    local verdict = 'reserved'
    if string.find(ARGV[10], '\n' .. r[NAME] .. '\n', 1, true) then
      local at = 11 + 2 * #ids
      verdict = begin(id, r, tail, lease, ARGV[11], ARGV[at], ARGV[at + 1], tonumber(ARGV[12]))
    else
      save(id, r, tail)
      redis.call('ZADD', RESERVED, whole(now + lease), id)
    end
    if verdict ~= 'revoked' then reply[#reply + 1] = handed(id, r, tail, verdict) end
    if r[REDELIVERIES] > 0 then break end
  else
    unreadable(id, r, 'worker', ARGV[11])
  end
end
redis.call('HSET', REQUESTS, owner, cmsgpack.pack({request, unpack(ids)}))
reply[2] = redis.call('ZCARD', READY)
if reply[1] == 0 and reply[2] == 0 then redis.call('DEL', WAKE) end
return reply
