-- Frees locks: one that this request took, or whoever holds them.
-- KEYS: locked
-- USES: _changes
-- ARGV: 6 id of the request that took it, "" for whoever; then names
-- Returns: how many were freed.
local freed = 0
for at = 7, #ARGV do
  local held = redis.call('HGET', LOCKED, ARGV[at])
  if held and (ARGV[6] == '' or string.match(held, '(%S+)$') == ARGV[6]) then
    remove(LOCKED, ARGV[at])
    freed = freed + 1
  end
end
return freed
