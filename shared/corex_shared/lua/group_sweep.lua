-- Remove the members of a group whose leases are over.
--
-- KEYS[1]  leases of the group
-- ARGV[1]  member that asks
--
-- Returns the members removed; a false in their place when the asker's own lease is over.
--
-- Atomic because a lease may be renewed between the look and the removal.
-- include lease
if not sharers(KEYS[1], ARGV[1]) then
  return false
end
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now_ms()))
for _, member in ipairs(over) do
  redis.call('ZREM', KEYS[1], member)
end
return over
