-- A scheduler looks at periodic tasks: remember them, so that a new one's first due time is one still to come.
-- KEYS: periodic_runs meta
-- ARGV: then per task: 6 name, 7 next due µs, 8 µs up to which this scheduler decided its due times, "0" for none,
--       9 its grace in µs
-- Returns: per task the µs of the last due time that ran, and the µs up to which some scheduler decided.
-- As in cron, a clock that went back by three hours was put right: what lies ahead of it is forgotten.
local PUT_RIGHT = 3 * 3600 * 1000000
local looks = redis.call('HGET', META, 'looks') or '0'  -- see check.lua
local known = {}

local function remembered(field, otherwise)
  local at = tonumber(redis.call('HGET', PERIODIC_RUNS, field) or '')
  return at and at <= now + PUT_RIGHT and at or otherwise
end

-- The first due time that no run has met: the one kept, until a run meets it; else the next one, which may have come
-- while nobody looked. One that is still to come follows the schedule.
local function unmet(name, upcoming)
  local kept, before, met = unpack(redis.call('HMGET', PERIODIC_RUNS, name .. ':unmet', name .. ':next', name .. ':met'))
  if not met then redis.call('HSET', PERIODIC_RUNS, name .. ':met', whole(now)) end
  kept, before, met = tonumber(kept or '0'), tonumber(before or '0'), tonumber(met or now)
  if kept > met and kept <= now then return whole(kept) end
  return before > met and before <= now and whole(before) or upcoming
end

for at = 6, #ARGV, 4 do
  local name = ARGV[at]
  local due = whole(remembered(name .. ':due', now))
  local decided = whole(math.max(remembered(name .. ':decided', 0), tonumber(ARGV[at + 2])))
  local upcoming = ARGV[at + 1]
  redis.call('HSET', PERIODIC_RUNS, name .. ':unmet', unmet(name, upcoming), name .. ':grace', ARGV[at + 3])
  redis.call('HSET', PERIODIC_RUNS, name .. ':due', due, name .. ':decided', decided, name .. ':next', upcoming,
    name .. ':look', looks)
  known[#known + 1] = due
  known[#known + 1] = decided
end
return known
