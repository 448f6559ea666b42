-- USES: _changes
-- What was found in an index and is no task: bytes that are no record become a dead letter as they are;
-- an entry without a record is only told. The caller has removed it from its index.
local function unreadable(id, record, source, where)
  drop(READY_SINCE, id)
  local fragment = ',"id":' .. cjson.encode(id) .. ',"task":"_unknown","retries":0,"retry_delay":0,"execute_time":null'
    .. ',"error_type":"limelight.errors.UndecodableMessage","error_message":"its record is unreadable"' .. where
  tell('error-internal', true, source, fragment .. ',"traceback":"The record of this task is unreadable."')
  if record == false then
    add(DEAD, whole(now), id)
    tell('dead', false, source, fragment .. ',"end":"dead","first_ready_at":' .. seconds(now))
  end
end

