-- A consumer took a token and has nobody idle any more: another one may have it.
-- KEYS: wake
-- USES: _changes
-- Returns: 1
wake(1)
return 1
