-- A scheduler checks which periodic tasks are due: told once a minute, whoever is first.
-- KEYS: periodic_runs events meta
-- USES: _changes
-- ARGV: 6 fragment (null task keys, where)
-- Returns: {1 told or 0 another was first, now µs}
-- What watch.lua noted of a task is forgotten when schedulers have looked for a day and none has named it. Minutes
-- with a look are counted, not hours that went by: after a long outage, what was missed is still made up for.
local HOUR, DAY = 60, 1440
local minute = math.floor(now / 60000000)

local function forget_unnamed(looks)
  local fields, seen, names = redis.call('HGETALL', PERIODIC_RUNS), {}, {}
  for at = 1, #fields, 2 do
    local name, what = string.match(fields[at], '^(.*):(%a+)$')
    if name and what == 'look' then seen[name] = tonumber(fields[at + 1]) end
    if name then names[name] = true end
  end
  for name in pairs(names) do
    if not seen[name] then
      set(PERIODIC_RUNS, name .. ':look', whole(looks))
    elseif looks - seen[name] > DAY then
      for _, what in ipairs({'due', 'next', 'decided', 'success', 'met', 'unmet', 'grace', 'look'}) do remove(PERIODIC_RUNS, name .. ':' .. what) end
    end
  end
end

local told = 0
if minute > tonumber(redis.call('HGET', META, 'last_check') or '0') then
  local looks = tonumber(redis.call('HGET', META, 'looks') or '0') + 1
  set(META, 'looks', whole(looks))
  set(META, 'last_check', whole(minute))
  if looks % HOUR == 0 then forget_unnamed(looks) end
  tell('checking-periodic', false, 'scheduler', ARGV[6])
  told = 1
end
return {told, whole(now)}
