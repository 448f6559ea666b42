-- T4  reserved → ready, at its old place: the worker stops before it began. Silent.
-- KEYS: reserved tasks ready ready_since wake
-- USES: _ready
-- ARGV: then per task: 6 id, 7 token
-- Returns: how many were still the owner's.
local released = 0
for at = 6, #ARGV, 2 do
  local r, tail = load(ARGV[at])
  if r and r[TOKEN] == ARGV[at + 1] and r[STATE] == 'reserved' then
    drop(RESERVED, ARGV[at])
    to_ready(ARGV[at], r, tail, r[READY_AT])
    released = released + 1
  end
end
wake(released)
return released
