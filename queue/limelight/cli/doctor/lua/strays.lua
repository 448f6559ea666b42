-- Looks at a part of the tasks, or of one index, for what does not fit together. Reads only.
-- KEYS: tasks delayed scheduled ready reserved running dead
-- USES: _record
-- ARGV: 6 "tasks", or which index; 7 cursor of the scan
-- Returns: {next cursor, then per stray: id, state (of an entry without a record: its index), fault}
--   fault: "missing" from the index of its state, in a second one too ("double"), or its record "gone"
local INDEXES = {
  delayed = DELAYED, scheduled = SCHEDULED, ready = READY, reserved = RESERVED, running = RUNNING, dead = DEAD,
}
local reply

local function stray(id, state, fault)
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = id, state, fault
end

local function look_at_task(id)
  local r = load(id)
  local own, others = false, false
  for name, index in pairs(INDEXES) do
    local there = redis.call('ZSCORE', index, id)
    if there and r and r[STATE] ~= name then others = true elseif there then own = true end
  end
  if r and not INDEXES[r[STATE]] then return end
  if not own then stray(id, r and r[STATE] or 'unreadable', 'missing')
  elseif others then stray(id, r[STATE], 'double') end
end

if ARGV[6] == 'tasks' then
  local cursor, found = unpack(redis.call('HSCAN', TASKS, ARGV[7], 'COUNT', 200))
  reply = {cursor}
  for at = 1, #found, 2 do look_at_task(found[at]) end
else
  local cursor, found = unpack(redis.call('ZSCAN', INDEXES[ARGV[6]], ARGV[7], 'COUNT', 200))
  reply = {cursor}
  for at = 1, #found, 2 do
    if redis.call('HEXISTS', TASKS, found[at]) == 0 then stray(found[at], ARGV[6], 'gone') end
  end
end
return reply
