-- Takes a lock of a name: until it is freed, its time is over, or the run that holds it ends, however that ends.
-- KEYS: locked tasks
-- USES: _record
-- ARGV: 6 name, 7 token of the run ("" outside of one), 8 its task id, 9 id of this very request,
--       10 µs that it lasts at most, "0" for as long as the run
-- Returns: 1 taken (also when asked again); 0 somebody holds it; -1 the run is not the caller's any more.
local name, token, id = ARGV[6], ARGV[7], ARGV[8]
local held = redis.call('HGET', LOCKED, name)
if held then
  local ends, request = string.match(held, '^%S+ (%d+) (%S+)$')
  if request == ARGV[9] then return 1 end
  if ends == '0' or tonumber(ends or '0') > now then return 0 end
end
if token ~= '' then
  local r, tail = load(id)
  if not r or r[TOKEN] ~= token or r[STATE] ~= 'running' then return -1 end
  if not string.find('\n' .. r[LOCKS], '\n' .. name .. '\n', 1, true) then
    r[LOCKS] = r[LOCKS] .. name .. '\n'
    save(id, r, tail)
  end
end
local ends = ARGV[10] == '0' and '0' or whole(now + tonumber(ARGV[10]))
set(LOCKED, name, (token ~= '' and token or 'free') .. ' ' .. ends .. ' ' .. ARGV[9])
return 1
