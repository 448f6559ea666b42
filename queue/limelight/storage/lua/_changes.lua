-- USES: _many _events _wake
-- Changes, collected, and written together at the end: the loader wraps a script that uses this in a function and
-- calls `write` when it is done.
--
-- Redis rolls nothing back, so every script keeps this order: read, decode and check; then change. At the end entries
-- leave their indexes first (a full Redis refuses no removal, and nothing that follows one), then records and entries
-- are added, then events are told. A batch so costs a few commands, not a few per task; an error before the end has
-- changed nothing.
local drops, removals, fields, adds, woken, rung = {}, {}, {}, {}, 0, {}

local function collected(changes, key)
  local list = changes[key]
  if not list then
    list = {}
    changes[key] = list
    changes[#changes + 1] = key
  end
  return list
end

-- An entry leaves a sorted set; it is added to one; a field of a hash is removed; it is set.
local function drop(index, id)
  local list = collected(drops, index)
  list[#list + 1] = id
end
local function add(index, score, id)
  local list = collected(adds, index)
  list[#list + 1] = score
  list[#list + 1] = id
end
local function remove(hash, field)
  local list = collected(removals, hash)
  list[#list + 1] = field
end
local function set(hash, field, value)
  local list = collected(fields, hash)
  list[#list + 1] = field
  list[#list + 1] = value
end

local function wake(workers) woken = woken + workers end

local function each(command, changes)
  for _, key in ipairs(changes) do many(command, key, changes[key]) end
end

local function write()
  each('ZREM', drops)
  each('HSET', fields)
  each('ZADD', adds)
  each('HDEL', removals)
  write_events()
  wake_now(woken)
  for at = 1, #rung, 2 do redis.pcall('PUBLISH', rung[at], rung[at + 1]) end
end
