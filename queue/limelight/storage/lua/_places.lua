-- Places at the end of the line, claimed for `count` tasks at once.
local place, places = 0, 0
local function claim_places(count)
  places = redis.call('HINCRBY', META, 'order', count)
  place = places - count
end

-- A new place at the end of its priority. Higher priority first, then first come, first served.
local function next_score(priority)
  if place == places then claim_places(1) end
  place = place + 1
  return (4095 - priority) * 1099511627776 + place
end
