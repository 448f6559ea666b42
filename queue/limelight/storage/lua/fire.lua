-- T16  A periodic task is due: enqueue one run of it, once per due time however many schedulers ask.
-- KEYS: periodic_runs tasks ready ready_since delayed promised events meta wake
-- USES: _enqueue
-- ARGV: 6 name, 7 due µs, 8 µs of the last due time, as known to the scheduler when it decided,
--       9 fragment (where), then one item of _new.lua
-- Returns: 1 fired; 0 another scheduler fired since the caller decided, or it is not due yet by Redis' clock.
local due = tonumber(ARGV[7])
local last = tonumber(redis.call('HGET', PERIODIC_RUNS, ARGV[6] .. ':due') or '0')
if last ~= tonumber(ARGV[8]) or due <= last or due > now + 1000000 then return 0 end
set(PERIODIC_RUNS, ARGV[6] .. ':due', ARGV[7])
local function about_new(item)
  local retries, delay = cmsgpack.unpack(item[4])
  return about_head(item[2]) .. ',"retries":' .. retries .. ',"retry_delay":' .. delay .. ',"execute_time":null'
end
local item = {unpack(ARGV, 10, 9 + ITEM)}
tell('scheduling-periodic', false, 'scheduler',
  about_new(item) .. ',"due":' .. seconds(due) .. ARGV[9])
enqueue(item, 'scheduler', '')
wake(1)
return 1
