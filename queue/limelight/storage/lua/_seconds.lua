-- µs as seconds in JSON.
local function seconds(us)
  if us == 0 then return '0' end
  return string.format('%d.%06d', us / 1000000, us % 1000000)
end
