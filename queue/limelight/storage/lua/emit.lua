-- Events about no task, or about a task whose state does not change; once per number of a lane.
-- KEYS: lanes lanes_used events meta
-- USES: _lane
-- ARGV: 6 lane, 7 its number, then per event: status, "1" for an error, source, fragment, "1" for the stream only
-- Returns: 1 told; 0 this number was told before.
if is_done(ARGV[6], tonumber(ARGV[7])) then return 0 end
done(ARGV[6], tonumber(ARGV[7]))
for at = 8, #ARGV, 5 do
  tell(ARGV[at], ARGV[at + 1] == '1', ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] == '1')
end
return 1
