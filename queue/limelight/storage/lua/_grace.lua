-- USES: _changes
-- After a silence longer than half a lease (outage, failover, clock jump) owners get one lease of time
-- to renew before anybody is declared lost. True while that grace lasts. Where the clock went back, leases
-- that would now last too long are cut to the longest that any consumer takes.
local function grace(lease)
  local seen, longest, reap_after = unpack(redis.call('HMGET', META, 'last_seen', 'longest_lease', 'reap_after'))
  seen, longest = tonumber(seen or '0'), tonumber(longest or '0')
  set(META, 'last_seen', whole(now))
  if lease > longest then
    longest = lease
    set(META, 'longest_lease', whole(lease))
  end
  local went_back = now < seen - 1000000
  reap_after = tonumber(reap_after or '0')
  if seen > 0 and (now - seen > lease / 2 or went_back) then
    reap_after = now + longest
    set(META, 'reap_after', whole(reap_after))
  end
  if went_back then
    for _, index in ipairs({RESERVED, RUNNING}) do
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. whole(now + longest), '+inf')) do
        add(index, whole(now + longest), id)
      end
    end
  end
  return now < reap_after
end
