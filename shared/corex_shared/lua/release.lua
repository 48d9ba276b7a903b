-- Forget finished commands.
--
-- KEYS[1]  claimed hash of a node or a group
-- KEYS[2]  its lease: presence hash of the node, or leases of the group
-- ARGV[1]  who asks: incarnation, or member of the group
-- ARGV[2]  node whose commands they are, which must be gone from the group; '' for the asker's own
-- ARGV[3…] two for each command: its field (a job ID), the claim that it must be of ('' for any)
--
-- Returns the number removed, or -1 when somebody else has the lease, or the node is not gone: then
-- the commands are somebody else's; -2 when nobody has the lease.
--
-- Atomic because whoever is next may be reading them.
-- include lease
if not may_settle(KEYS[2], ARGV[1], ARGV[2]) then
  return refusal(KEYS[2], ARGV[1])
end
local fields = {}
for i = 3, #ARGV, 2 do
  if is_claimed(KEYS[1], ARGV[i], ARGV[i + 1]) then
    fields[#fields + 1] = ARGV[i]
  end
end
local removed = 0
for i = 1, #fields, 100 do
  removed = removed + redis.call('HDEL', KEYS[1], unpack(fields, i, math.min(i + 99, #fields)))
end
return removed
