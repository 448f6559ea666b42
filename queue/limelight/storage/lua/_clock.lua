-- Opening of every script: what all are given, and the time.
--
-- The loader writes KEYS[n] for the n-th name of a script's "KEYS:" header, in capitals. ARGV 1 to 5 are the same
-- everywhere:
--   1 clock     µs to use as now, "0" for Redis TIME (tests move time by hand)
--   2 queue     its name
--   3 channel   where live events are published, "" for nowhere
--   4 cap       entries the stream may hold at most, "0" for no events at all
--   5 emitter   id of the process that speaks
--
-- A script makes all its functions anew each time it runs, so what only some need has a file of its own ("USES:").
-- Numbers longer than 14 digits are formatted, never left to tostring.

local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local QUEUE, CHANNEL, CAP, EMITTER = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local function whole(x) return string.format('%d', x) end
