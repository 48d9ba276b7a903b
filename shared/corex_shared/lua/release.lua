-- Forget finished commands.
--
-- KEYS[1]  claimed hash of the node
-- KEYS[2]  presence hash of the node
-- ARGV[1]  incarnation that asks
-- ARGV[2…] fields (job IDs)
--
-- Returns the number removed, or -1 when the lease is not this incarnation's: then the commands
-- are its successor's.
--
-- Atomic because the successor may be reading them.
if redis.call('HGET', KEYS[2], 'incarnation') ~= ARGV[1] then
  return -1
end
local removed = 0
for i = 2, #ARGV, 100 do
  removed = removed + redis.call('HDEL', KEYS[1], unpack(ARGV, i, math.min(i + 99, #ARGV)))
end
return removed
