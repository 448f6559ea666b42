-- USES: _entry _seconds
-- What is told: collected while a script changes things, written behind the changes.
local told = {}

-- One event, for the stream and (unless it is for the stream only) the live channel. `fragment` is text, or a
-- table of pieces, the first of them '': Redis' Lua reads every byte of each text it makes, so long ones are
-- joined once, at the end.
local NOW, FINE, WRONG, ABOUT_QUEUE
local function tell(status, is_error, source, fragment, stream_only)
  if CAP == '0' then return end
  if not NOW then
    NOW = seconds(now)
    FINE, WRONG = ',"error":false,"timestamp":' .. NOW, ',"error":true,"timestamp":' .. NOW
    ABOUT_QUEUE = ',"v":1,"queue":"' .. QUEUE .. '","source":"'
  end
  local pieces = fragment
  if type(pieces) ~= 'table' then pieces = {'', fragment} end
  local n = #pieces
  pieces[1] = '{"status":"' .. status .. '"'
  pieces[n + 1], pieces[n + 2], pieces[n + 3], pieces[n + 4] = is_error and WRONG or FINE, ABOUT_QUEUE, source, '","seq":'
  if CHANNEL ~= '' and not stream_only then pieces.live = true end
  told[#told + 1] = pieces
  return pieces
end

-- Whether anybody may be listening to the live channel, so that it is worth its JSON. Redis tells who listens here, not
-- who listens to a replica or to another node of a cluster: that there is none is noted by expired.lua.
local heard
local function is_heard()
  if heard == nil then
    heard = CHANNEL ~= ''
    if heard and redis.call('HGET', META, 'alone') == '1' then
      local named, patterns = redis.pcall('PUBSUB', 'NUMSUB', CHANNEL), redis.pcall('PUBSUB', 'NUMPAT')
      heard = not (named[2] == 0 and patterns == 0)
    end
  end
  return heard
end

-- One of the frequent events: packed on the stream; `fragment` is what the live channel is given, nil for nothing.
local openings = {}
local function tell_packed(status, source, positions, body, fragment)
  if CAP == '0' then return end
  local event = fragment and tell(status, false, source, fragment) or {}
  if not fragment then told[#told + 1] = event end
  local opening = openings[status .. source]
  if not opening then
    opening = entry_opening(positions, cmsgpack.pack(source) .. cmsgpack.pack(status))
    openings[status .. source] = opening
  end
  event.opening, event.body = opening, body
end

-- Events get gapless numbers in the order they were told. Publishing may be refused to a user without rights
-- on the channel: that loses live events, never the change or the durable event.
local function write_events()
  if #told == 0 then return end
  local seq = redis.call('HINCRBY', META, 'seq', #told) - #told
  if seq == 0 then redis.call('HSET', META, 'epoch', EMITTER .. '-' .. whole(now)) end
  local rest = ',"emitter":"' .. EMITTER .. '"}'
  for n, event in ipairs(told) do
    local field, entry, json = 'e', nil, nil
    if event[1] then
      event[#event + 1] = whole(seq + n)
      event[#event + 1] = rest
      json = table.concat(event)
      entry = json
    end
    if event.opening then field, entry = 'm', numbered(event.opening, seq + n) .. event.body end
    if n == #told and trims(seq + n, n) then
      redis.call('XADD', EVENTS, 'MAXLEN', '~', CAP, '*', field, entry)
    else
      redis.call('XADD', EVENTS, '*', field, entry)
    end
    if event.live then redis.pcall('PUBLISH', CHANNEL, json) end
  end
end
