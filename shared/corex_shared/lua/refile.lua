-- File commands again that the server has forgotten, each under its job ID.
--
-- KEYS[1]  claimed hash of a node or a group
-- KEYS[2]  its lease: presence hash of the node, or leases of the group
-- ARGV[1]  who asks: incarnation, or member of the group
-- ARGV[2…] two for each command: job ID, and the value of its entry as lua/stage.lua writes it
--
-- Returns the number written, or -1 when somebody else has the lease, -2 when nobody has. An entry
-- that is there is left alone.
--
-- Atomic because the lease may change hands between the look and the write.
-- include lease
if not holds(KEYS[2], ARGV[1]) then
  return refusal(KEYS[2], ARGV[1])
end
local written = 0
for i = 2, #ARGV, 2 do
  written = written + redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
return written
