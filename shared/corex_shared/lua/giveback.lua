-- Put claimed commands that are not to be started here back at the left of their list, in order.
--
-- KEYS[1]  list of commands, of a node or a group
-- KEYS[2]  claimed hash of the same
-- KEYS[3]  its lease: presence hash of the node, or leases of the group
-- ARGV[1]  who asks: incarnation, or member of the group
-- ARGV[2]  node whose commands they are, which must be gone from the group; '' for the asker's own
-- ARGV[3…] two for each command, in the order of the list: its field of the claimed hash, the claim
--          that it must be of ('' for any)
--
-- Returns the number put back, or -1 when somebody else has the lease, or the node is not gone; -2
-- when nobody has the lease.
--
-- Atomic because a payload must be in one of the two, once.
-- include lease
if not may_settle(KEYS[3], ARGV[1], ARGV[2]) then
  return refusal(KEYS[3], ARGV[1])
end
local moved = 0
for i = #ARGV - 1, 3, -2 do
  local field = ARGV[i]
  local value = redis.call('HGET', KEYS[2], field)
  if value and is_claimed(KEYS[2], field, ARGV[i + 1]) then
    if not is_unfiled(field) then
      value = string.sub(value, string.find(value, '\n', 1, true) + 1)
    end
    redis.call('LPUSH', KEYS[1], value)
    redis.call('HDEL', KEYS[2], field)
    moved = moved + 1
  end
end
return moved
