-- What is told: collected while a script changes things, written behind the changes.
local told = {}

-- One event, for the stream and (unless it is for the stream only) the live channel. `fragment` is text, or a
-- table of pieces, the first of them '': Redis' Lua reads every byte of each text it makes, so long ones are
-- joined once, at the end.
local FINE, WRONG = ',"error":false,"timestamp":' .. NOW, ',"error":true,"timestamp":' .. NOW
local ABOUT_QUEUE = ',"v":1,"queue":"' .. QUEUE .. '","source":"'
local function tell(status, is_error, source, fragment, stream_only)
  if CAP == '0' then return end
  local pieces = fragment
  if type(pieces) ~= 'table' then pieces = {'', fragment} end
  local n = #pieces
  pieces[1] = '{"status":"' .. status .. '"'
  pieces[n + 1], pieces[n + 2], pieces[n + 3], pieces[n + 4] = is_error and WRONG or FINE, ABOUT_QUEUE, source, '","seq":'
  if CHANNEL ~= '' and not stream_only then pieces.live = true end
  told[#told + 1] = pieces
end

-- Events get gapless numbers in the order they were told. Publishing may be refused to a user without rights
-- on the channel: that loses live events, never the change or the durable event.
local function write_events()
  if #told == 0 then return end
  local seq = redis.call('HINCRBY', META, 'seq', #told) - #told
  if seq == 0 then redis.call('HSET', META, 'epoch', EMITTER .. '-' .. whole(now)) end
  local rest = ',"emitter":"' .. EMITTER .. '"}'
  for n, pieces in ipairs(told) do
    pieces[#pieces + 1] = whole(seq + n)
    pieces[#pieces + 1] = rest
    local json = table.concat(pieces)
    if n == #told then
      redis.call('XADD', EVENTS, 'MAXLEN', '~', CAP, '*', 'e', json)
    else
      redis.call('XADD', EVENTS, '*', 'e', json)
    end
    if pieces.live then redis.pcall('PUBLISH', CHANNEL, json) end
  end
end
