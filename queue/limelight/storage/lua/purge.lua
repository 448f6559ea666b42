-- dead → gone: a dead letter is thrown away, whatever its bytes are. Told as `purged`; its end was told at its burial.
-- KEYS: dead dead_reasons tasks revoked ready ready_since delayed promised groups locked awaited events meta wake
-- USES: _end
-- ARGV: 6 burial µs up to which a letter is meant, 7 how many letters must stay,
--       8 source, 9 where (fragment), then ids
-- Returns: how many were thrown away.
local function known(r, tail) return about(r, tail) .. about_trace(r) end
local function unknown(id)
  local text = string.gsub(id, '[\128-\255]', '?')  -- an id of ours is ASCII; an event is always UTF-8
  return ',"id":' .. cjson.encode(text) .. ',"task":"_unknown","retries":0,"retry_delay":0,"execute_time":null'
end

local purged, seen, surplus = 0, {}, redis.call('ZCARD', DEAD) - tonumber(ARGV[7])
for at = 10, #ARGV do
  local id = ARGV[at]
  local buried = redis.call('ZSCORE', DEAD, id)
  if purged < surplus and buried and tonumber(buried) <= tonumber(ARGV[6]) and not seen[id] then
    seen[id] = true
    local r, tail = load(id)
    local readable, fragment = pcall(known, r, tail)
    drop(DEAD, id)
    remove(DEAD_REASONS, id)
    remove(TASKS, id)
    if readable then ended(id, r, tail, 'purged', '', ARGV[8]) else remove(REVOKED, id) end
    tell('purged', false, ARGV[8], (readable and fragment or unknown(id)) .. ARGV[9])
    purged = purged + 1
  end
end
return purged
