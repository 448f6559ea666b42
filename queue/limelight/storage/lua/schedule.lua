-- delayed → scheduled: a worker takes what was enqueued for later and puts it on the schedule.
-- KEYS: delayed scheduled tasks ready ready_since dead events meta wake
-- USES: _ready _unreadable
-- ARGV: 6 how many, 7 where (fragment)
-- Returns: how many it took.
local ready = 0
local ids = redis.call('ZRANGE', DELAYED, 0, tonumber(ARGV[6]) - 1)
for _, id in ipairs(ids) do
  local r, tail = load(id)
  drop(DELAYED, id)
  if r and r[EXECUTE] > now then
    r[STATE] = 'scheduled'
    save(id, r, tail)
    add(SCHEDULED, whole(r[EXECUTE]), id)
    tell('scheduled', false, 'worker', about(r, tail) .. ARGV[7])
  elseif r then
    to_ready(id, r, tail, r[EXECUTE])
    ready = ready + 1
  else
    unreadable(id, r, 'worker', ARGV[7])
  end
end
wake(ready)
return #ids
