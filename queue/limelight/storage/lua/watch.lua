-- A scheduler looks at periodic tasks: remember them, so that a new one's first due time is one still to come.
-- KEYS: periodic_runs meta
-- ARGV: then per task: 6 name, 7 next due µs, 8 µs up to which this scheduler decided its due times, "0" for none
-- Returns: per task the µs of the last due time that ran, and the µs up to which some scheduler decided.
-- As in cron, a clock that went back by three hours was put right: what lies ahead of it is forgotten.
local PUT_RIGHT = 3 * 3600 * 1000000
local looks = redis.call('HGET', META, 'looks') or '0'  -- see check.lua
local known = {}

local function remembered(field, otherwise)
  local at = tonumber(redis.call('HGET', PERIODIC_RUNS, field) or '')
  return at and at <= now + PUT_RIGHT and at or otherwise
end

for at = 6, #ARGV, 3 do
  local name = ARGV[at]
  local due = whole(remembered(name .. ':due', now))
  local decided = whole(math.max(remembered(name .. ':decided', 0), tonumber(ARGV[at + 2])))
  redis.call('HSET', PERIODIC_RUNS, name .. ':due', due, name .. ':decided', decided, name .. ':next', ARGV[at + 1],
    name .. ':look', looks)
  known[#known + 1] = due
  known[#known + 1] = decided
end
return known
