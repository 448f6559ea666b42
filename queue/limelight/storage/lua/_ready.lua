-- USES: _record _places
-- any state → ready, at the place that r[SCORE] names; `since` is when it became runnable.
local function to_ready(id, r, tail, since)
  r[STATE], r[TOKEN], r[READY_AT] = 'ready', '', since
  if r[FIRST_READY] == 0 then r[FIRST_READY] = since end
  save(id, r, tail)
  add(READY, whole(r[SCORE]), id)
  add(READY_SINCE, whole(since), id)
end
