-- A scheduler knows of a periodic task: remember it, so that its first due time is one that is still to come.
-- KEYS: periodic_runs
-- ARGV: then per task: 6 name, 7 next due µs
-- Returns: per task the µs of its last due time.
local last = {}
for at = 6, #ARGV, 2 do
  redis.call('HSETNX', PERIODIC_RUNS, ARGV[at] .. ':due', whole(now))
  redis.call('HSET', PERIODIC_RUNS, ARGV[at] .. ':next', ARGV[at + 1])
  last[#last + 1] = redis.call('HGET', PERIODIC_RUNS, ARGV[at] .. ':due')
end
return last
