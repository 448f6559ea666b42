-- The packed form of an event on the stream, field `m`: a MessagePack array, put together by `struct` from pieces.
-- What stands where: docs/events.md. cmsgpack packs value by value into texts; `struct` costs a tenth of that.
-- Times and durations are float64 seconds, opened by 203; a whole number of 64 bits is opened by 207.
local NIL = '\192'

local function packed_seconds(us) return struct.pack('>Bd', 203, us / 1000000) end

-- Its opening up to the number: `positions` that it has, all of them; `names`: source and status, packed.
local function entry_opening(positions, names)
  return struct.pack('>BHBBdBBc0c0', 220, positions, 1, 203, now / 1000000, 217, #EMITTER, EMITTER, names)
end

-- Whether the stream is to be trimmed with the entry of that number: each 64th time, for trimming costs a third of it.
local function trims(seq, count) return seq % 64 < count end
local function numbered(opening, seq) return struct.pack('>c0BI8', opening, 207, seq) end
