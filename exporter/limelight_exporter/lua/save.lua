-- Saves how far a reader of the stream is, and with it the state it folded up to there, if it keeps any;
-- then trims what no reader will want again, even after a failover that loses the last minute of saves.
-- KEYS: events meta cursors snapshot
-- ARGV: 6 reader, 7 epoch, 8 stream id, 9 seq, 10 snapshot ("" for none)
-- Returns: 1 saved; 0 refused: the stream is in another epoch; -1 refused: this reader is further on already.
-- A cursor is "<stream id> <seq> <ms of the save> <epoch> <mark> <ms of the mark> <settled>": the mark is a
-- position on its way to be a minute old, the settled one has been saved for that long.
local SETTLES, FORGOTTEN, ROUNDS = 60000, 86400000, 20
local ms = math.floor(now / 1000)
local epoch = redis.call('HGET', META, 'epoch') or '-'

local function cursor(value)
  local id, seq, saved, of, mark, marked, settled =
    string.match(value or '', '^(%S+) (%d+) (%d+) (%S+) (%S+) (%d+) (%S+)$')
  if not id then return nil end
  return {seq = tonumber(seq), saved = tonumber(saved), epoch = of,
    mark = mark, marked = tonumber(marked), settled = settled}
end

local function before(a, b)
  local a_ms, a_n = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_n = string.match(b, '^(%d+)-(%d+)$')
  a_ms, a_n, b_ms, b_n = tonumber(a_ms), tonumber(a_n), tonumber(b_ms), tonumber(b_n)
  return a_ms < b_ms or (a_ms == b_ms and a_n < b_n)
end

if epoch ~= ARGV[7] then return 0 end
local old = cursor(redis.call('HGET', CURSORS, ARGV[6]))
if old and old.epoch == epoch and old.seq > tonumber(ARGV[9]) then return -1 end
local mark, marked, settled = ARGV[8], ms, '0-0'
if old and old.epoch == epoch then
  mark, marked, settled = old.mark, old.marked, old.settled
  if ms - marked >= SETTLES then settled, mark, marked = mark, ARGV[8], ms end
end

if ARGV[10] ~= '' then redis.call('SET', SNAPSHOT, ARGV[10]) end
redis.call('HSET', CURSORS, ARGV[6], table.concat(
  {ARGV[8], ARGV[9], whole(ms), epoch, mark, whole(marked), settled}, ' '))

local all = redis.call('HGETALL', CURSORS)
for at = 1, #all, 2 do
  local other = cursor(all[at + 1])
  if not other or ms - other.saved > FORGOTTEN then
    redis.call('HDEL', CURSORS, all[at])
  elseif other.epoch ~= epoch then
    settled = '0-0'
  elseif before(other.settled, settled) then
    settled = other.settled
  end
end
if settled ~= '0-0' then
  for _ = 1, ROUNDS do
    if redis.call('XTRIM', EVENTS, 'MINID', '~', settled) == 0 then break end
  end
end
return 1
