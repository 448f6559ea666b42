-- Marks tasks as revoked (they end when a worker pulls them), or takes the mark away.
-- KEYS: tasks revoked
-- ARGV: 6 µs until which it is revoked, "0" for good, "once" for the next of a name, "" to restore;
--       then ids, or "@<name>" for every task of a name
-- Returns: how many marks were set or taken away. The mark of an id lives as long as its task, that of a name
-- until it is taken away.
local changed = 0
for at = 7, #ARGV do
  if ARGV[6] == '' then
    changed = changed + redis.call('HDEL', REVOKED, ARGV[at])
  elseif string.sub(ARGV[at], 1, 1) == '@' or redis.call('HEXISTS', TASKS, ARGV[at]) == 1 then
    redis.call('HSET', REVOKED, ARGV[at], ARGV[6])
    changed = changed + 1
  end
end
return changed
