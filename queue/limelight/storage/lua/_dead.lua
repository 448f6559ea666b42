-- Shared by the scripts that bury a task: why it died is kept as long as its record, in `dead_reasons`.
-- `fragment` is what `dead` is told with: error type and message; `traceback` is the fragment of the event before
-- it. A long traceback is left to the event and to the stored result, so that 10,000 dead letters stay small.
local TRACEBACK_KEPT = 4096  -- bytes of JSON

local function remember_reason(id, fragment, traceback)
  if #traceback > TRACEBACK_KEPT then traceback = '' end
  set(DEAD_REASONS, id, '{' .. string.sub(fragment .. traceback, 2) .. '}')
end
