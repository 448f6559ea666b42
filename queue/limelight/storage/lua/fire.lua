-- T16  A periodic task is due: enqueue one run of it, once per due time however many schedulers ask.
-- KEYS: periodic_runs tasks ready ready_since delayed promised events meta wake
-- USES: _enqueue
-- ARGV: 6 name, 7 due µs, 8 next due µs, 9 fragment (where), then one item of _enqueue.lua
-- Returns: 1 fired; 0 fired before, or not due yet by Redis' clock.
local due = tonumber(ARGV[7])
local last = tonumber(redis.call('HGET', PERIODIC_RUNS, ARGV[6] .. ':due') or '0')
if due <= last or due > now + 1000000 then return 0 end
set(PERIODIC_RUNS, ARGV[6] .. ':due', ARGV[7])
set(PERIODIC_RUNS, ARGV[6] .. ':next', ARGV[8])
local spec = cmsgpack.unpack(ARGV[10])
tell('scheduling-periodic', false, 'scheduler',
  spec[3] .. ',"retries":' .. spec[4] .. ',"retry_delay":' .. spec[5] .. ',"execute_time":null' .. ARGV[9])
enqueue(ARGV[10], ARGV[11], ARGV[12], 'scheduler', '')
wake(1)
return 1
