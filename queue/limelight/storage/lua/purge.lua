-- dead → gone: a dead letter is thrown away, whatever its bytes are. Told as `purged`; its end was told at its burial.
-- KEYS: dead dead_reasons tasks revoked events meta
-- USES: _changes
-- ARGV: 6 burial µs up to which a letter is meant, 7 how many letters must stay,
--       8 source, 9 where (fragment), then ids
-- Returns: how many were thrown away.
local function known(r, tail) return about(r, tail) .. about_trace(r) end
local function unknown(id)
  local text = string.gsub(id, '[\128-\255]', '?')  -- an id of ours is ASCII; an event is always UTF-8
  return ',"id":' .. cjson.encode(text) .. ',"task":"_unknown","retries":0,"retry_delay":0,"execute_time":null'
end

local purged, surplus = 0, redis.call('ZCARD', DEAD) - tonumber(ARGV[7])
for at = 10, #ARGV do
  local id = ARGV[at]
  local buried = redis.call('ZSCORE', DEAD, id)
  if purged < surplus and buried and tonumber(buried) <= tonumber(ARGV[6]) then
    local readable, fragment = pcall(known, load(id))
    drop(DEAD, id)
    remove(DEAD_REASONS, id)
    remove(TASKS, id)
    remove(REVOKED, id)
    tell('purged', false, ARGV[8], (readable and fragment or unknown(id)) .. ARGV[9])
    purged = purged + 1
  end
end
return purged
