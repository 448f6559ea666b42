-- Shared by the scripts of administration: how a change is written, and where a record's message is.
local function drop(index, id) redis.call('ZREM', index, id) end
local function remove(hash, field) redis.call('HDEL', hash, field) end
local function set(hash, field, value) redis.call('HSET', hash, field, value) end
local function body_of(r, tail) return string.sub(tail, r[HEAD_LENGTH] + 1) end
