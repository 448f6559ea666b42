-- T10  scheduled → ready, for what is due. Silent: `ready_at` is the time it was due.
-- KEYS: scheduled tasks ready ready_since dead events meta wake
-- USES: _ready _unreadable
-- ARGV: 6 how many at most, 7 where (fragment)
-- Returns: {how many, µs until the next is due or -1}
local found = redis.call('ZRANGEBYSCORE', SCHEDULED, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[6]))
local ids, dues = {}, {}
for at = 1, #found, 2 do
  ids[#ids + 1] = found[at]
  dues[#dues + 1] = tonumber(found[at + 1])
end
if #ids > 0 then
  redis.call('ZREM', SCHEDULED, unpack(ids))
  claim_places(#ids)
end
for n, id in ipairs(ids) do
  local r, tail = load(id)
  if r then
    r[SCORE] = next_score(r[PRIORITY])
    to_ready(id, r, tail, dues[n])
  else
    unreadable(id, r, 'scheduler', ARGV[7])
  end
end
wake(#ids)
local head = redis.call('ZRANGE', SCHEDULED, 0, 0, 'WITHSCORES')
return {#ids, head[2] and whole(math.max(0, tonumber(head[2]) - now)) or '-1'}
