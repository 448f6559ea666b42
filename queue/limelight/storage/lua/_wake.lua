-- Idle workers wait on a list of their own, never on `ready` itself: popping that would lose a task.
local function wake_now(workers)
  if workers == 0 then return end
  local tokens = {}
  for n = 1, math.min(workers, 64) do tokens[n] = '1' end
  if redis.call('LPUSH', WAKE, unpack(tokens)) > 1024 then redis.call('LTRIM', WAKE, 0, 255) end
end
