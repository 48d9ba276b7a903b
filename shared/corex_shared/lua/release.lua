-- Forget finished commands.
--
-- KEYS[1]  claimed hash of the node
-- KEYS[2]  presence hash of the node
-- ARGV[1]  incarnation that asks
-- ARGV[2…] fields (job IDs)
--
-- Returns the number removed, or -1 when another incarnation has the lease (the commands are
-- its then), -2 when nobody has.
--
-- Atomic because the successor may be reading them.
local holder = redis.call('HGET', KEYS[2], 'incarnation')
if holder ~= ARGV[1] then
  return holder and -1 or -2
end
local removed = 0
for i = 2, #ARGV, 100 do
  removed = removed + redis.call('HDEL', KEYS[1], unpack(ARGV, i, math.min(i + 99, #ARGV)))
end
return removed
