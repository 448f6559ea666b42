-- Which leases are over, after the grace that follows a silence; and forget who is long gone. Notes in `meta` for how
-- long events stay (`max_age`, µs): an exporter that is away for longer is not waited for.
-- KEYS: reserved running meta consumers requests lanes lanes_used events
-- USES: _grace
-- ARGV: 6 lease µs, 7 how many at most, 8 µs that an event may stay on the stream ("0" for any time)
-- Returns: ids, reserved ones first.
local FORGOTTEN = 600000000  -- µs after its last heartbeat
local UNHEARD = 60000000  -- µs that who never said that it lives has to say so
-- See _events.lua.
local replication, cluster = redis.pcall('INFO', 'replication'), redis.pcall('INFO', 'cluster')
local alone = type(replication) == 'string' and type(cluster) == 'string'
  and string.find(replication, 'connected_slaves:0\r', 1, true) and string.find(replication, 'role:master', 1, true)
  and string.find(cluster, 'cluster_enabled:0', 1, true)
redis.call('HSET', META, 'alone', alone and '1' or '0')
local lease = tonumber(ARGV[6])
if CAP ~= '0' and redis.call('HGET', META, 'max_age') ~= ARGV[8] then
  set(META, 'max_age', ARGV[8])
end
if grace(lease) then return {} end
local ids = redis.call('ZRANGEBYSCORE', RESERVED, '-inf', whole(now - 1), 'LIMIT', 0, tonumber(ARGV[7]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', RUNNING, '-inf', whole(now - 1), 'LIMIT', 0, tonumber(ARGV[7]))) do
  ids[#ids + 1] = id
end
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', LANES_USED, '-inf', whole(now / 1000000 - 86400), 'LIMIT', 0, 10000)) do
  redis.call('ZREM', LANES_USED, lane)
  redis.call('HDEL', LANES, lane)
end
-- A worker that died before its consumer's first heartbeat, or asked once more when that had left, has an owner
-- that nobody would forget: from now on somebody does.
local requests = redis.call('HGETALL', REQUESTS)
for at = 1, #requests, 2 do
  local consumer, worker = string.match(requests[at], '^(.*):(%d+)$')
  if consumer then
    redis.call('HSETNX', CONSUMERS, consumer, whole(now - FORGOTTEN + UNHEARD) .. ' ' .. worker .. ' {}')
  end
end
local heartbeats = redis.call('HGETALL', CONSUMERS)
for at = 1, #heartbeats, 2 do
  local seen, workers = string.match(heartbeats[at + 1], '^(%d+) (%d+) ')
  if not seen or now - tonumber(seen) > FORGOTTEN then
    redis.call('HDEL', CONSUMERS, heartbeats[at])
    for worker = 0, tonumber(workers or '0') do redis.call('HDEL', REQUESTS, heartbeats[at] .. ':' .. worker) end
  end
end
if ARGV[8] ~= '0' then
  local oldest = whole((now - tonumber(ARGV[8])) / 1000)
  for _ = 1, 20 do  -- one call removes at most 10,000 entries
    if redis.call('XTRIM', EVENTS, 'MINID', '~', oldest) == 0 then break end
  end
end
return ids
