-- delayed → scheduled: a worker takes what was enqueued for later and puts it on the schedule.
-- KEYS: delayed scheduled tasks ready ready_since dead events meta wake
-- USES: _ready _unreadable
-- ARGV: 6 how many, 7 where (fragment), 8 "1" to be told which
-- Returns: {how many it took, and if that was asked for, per task that is on the schedule now
--           {id, name, retries, retry delay, priority, due µs, expires µs, body}, …}
local ready = 0
local ids = redis.call('ZRANGE', DELAYED, 0, tonumber(ARGV[6]) - 1)
local reply = {#ids}
for _, id in ipairs(ids) do
  local r, tail = load(id)
  drop(DELAYED, id)
  if r and r[EXECUTE] > now then
    r[STATE] = 'scheduled'
    save(id, r, tail)
    add(SCHEDULED, whole(r[EXECUTE]), id)
    tell('scheduled', false, 'worker', about(r, tail) .. ARGV[7])
    if ARGV[8] == '1' then
      reply[#reply + 1] = {
        id, r[NAME], r[RETRIES], r[RETRY_DELAY], r[PRIORITY], whole(r[EXECUTE]), whole(r[EXPIRES]), body_of(r, tail),
      }
    end
  elseif r then
    to_ready(id, r, tail, r[EXECUTE])
    ready = ready + 1
  else
    unreadable(id, r, 'worker', ARGV[7])
  end
end
wake(ready)
return reply
