-- Saves how far a reader of the stream is, and with it the state it folded up to there, if it keeps any;
-- then trims what no reader will want again, even after a failover that loses the last minute of saves.
-- KEYS: events meta cursors snapshot
-- ARGV: 6 reader, 7 epoch, 8 stream id, 9 seq, 10 snapshot ("" for none), 11 credit,
-- 12 13 credit and seq of what this reader saved or loaded last ("" for nothing), 14 its settings (no spaces)
-- Returns: {code, settings of whoever saved last ("" if nobody), readers that are forgotten now …}. The code is 1: saved; 0: refused, the stream is in another
-- epoch; -1: refused, this reader is further on already; -2: refused, what is saved has counted more than this.
-- A cursor is "<stream id> <seq> <ms of the save> <epoch> <mark> <ms of the mark> <settled> <credit> <settings>": the
-- mark is a position on its way to be a minute old, the settled one has been saved for that long; the credit is
-- what its state knows beyond the stream (stream_source.py). Exporters before 0.2 saved neither it nor settings.
local SETTLES, ROUNDS = 60000, 20
local A_DAY, SOONEST = 86400000, 300000
local ms = math.floor(now / 1000)
local epoch = redis.call('HGET', META, 'epoch') or '-'
local seq, credit = tonumber(ARGV[9]), tonumber(ARGV[11])

-- Ms after which a reader that is not heard of is forgotten: as long as events stay, by what consumers say of it.
local kept = tonumber(redis.call('HGET', META, 'max_age') or A_DAY * 1000) / 1000
local patience = kept == 0 and math.huge or math.max(SOONEST, kept)

local function cursor(value)
  local id, at, saved, of, mark, marked, settled, rest =
    string.match(value or '', '^(%S+) (%d+) (%d+) (%S+) (%S+) (%d+) (%S+)(.*)$')
  if not id then return nil end
  return {seq = tonumber(at), saved = tonumber(saved), epoch = of,
    mark = mark, marked = tonumber(marked), settled = settled,
    credit = tonumber(string.match(rest, '^ (%-?%d+)') or credit), settings = string.match(rest, '^ %S+ (%S+)')}
end

local function before(a, b)
  local a_ms, a_n = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_n = string.match(b, '^(%d+)-(%d+)$')
  a_ms, a_n, b_ms, b_n = tonumber(a_ms), tonumber(a_n), tonumber(b_ms), tonumber(b_n)
  return a_ms < b_ms or (a_ms == b_ms and a_n < b_n)
end

if epoch ~= ARGV[7] then return {0, ''} end
local old = cursor(redis.call('HGET', CURSORS, ARGV[6]))
local settings = old and old.settings or ''
if old and old.epoch ~= epoch then old = nil end
local ours = old and old.credit == tonumber(ARGV[12]) and old.seq == tonumber(ARGV[13])
local outranks = old and old.credit > credit and not ours
local refusal = old and (outranks and -2 or (old.credit == credit and old.seq > seq and -1))
if refusal and ARGV[10] ~= '' and not redis.call('GET', SNAPSHOT) then refusal = nil end  -- what it spoke of is gone
if refusal then return {refusal, settings} end
if old and old.seq > seq then old = nil end
local mark, marked, settled = ARGV[8], ms, '0-0'
if old then
  mark, marked, settled = old.mark, old.marked, old.settled
  if ms - marked >= SETTLES then settled, mark, marked = mark, ARGV[8], ms end
end

redis.call('HDEL', CURSORS, ARGV[6])  -- a full Redis refuses no removal, and nothing that follows one: the trim must come
if ARGV[10] ~= '' then redis.call('SET', SNAPSHOT, ARGV[10]) end
redis.call('HSET', CURSORS, ARGV[6], table.concat(
  {ARGV[8], ARGV[9], whole(ms), epoch, mark, whole(marked), settled, ARGV[11], ARGV[14]}, ' '))

local answer = {1, settings}
local all = redis.call('HGETALL', CURSORS)
for at = 1, #all, 2 do
  local other = cursor(all[at + 1])
  if not other or ms - other.saved > patience then
    redis.call('HDEL', CURSORS, all[at])
    answer[#answer + 1] = all[at]
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
return answer
