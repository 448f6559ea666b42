-- T9  A consumer is alive: its leases last longer, its heartbeat is noted.
-- KEYS: reserved running tasks consumers meta
-- USES: _record _grace
-- ARGV: 6 lease µs, 7 consumer, 8 heartbeat ("<workers> <JSON>", "" for none), then per task: id, token
-- Returns: the ids that are still the consumer's.
local lease = tonumber(ARGV[6])
grace(lease)
if ARGV[8] ~= '' then redis.call('HSET', CONSUMERS, ARGV[7], whole(now) .. ' ' .. ARGV[8]) end
local owned = {}
for at = 9, #ARGV, 2 do
  local r = load(ARGV[at])
  if r and r[TOKEN] == ARGV[at + 1] then
    redis.call('ZADD', r[STATE] == 'running' and RUNNING or RESERVED, 'XX', whole(now + lease), ARGV[at])
    owned[#owned + 1] = ARGV[at]
  end
end
return owned
