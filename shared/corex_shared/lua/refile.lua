-- File commands again that the server has forgotten, each under its job ID.
--
-- KEYS[1]  claimed hash of the node
-- KEYS[2]  presence hash of the node
-- ARGV[1]  incarnation that asks
-- ARGV[2…] two for each command: job ID, and the value of its entry as lua/stage.lua writes it
--
-- Returns the number written, or -1 when another incarnation has the lease, -2 when nobody has. An
-- entry that is there is left alone.
--
-- Atomic because the lease may change hands between the look and the write.
local holder = redis.call('HGET', KEYS[2], 'incarnation')
if holder ~= ARGV[1] then
  return holder and -1 or -2
end
local written = 0
for i = 2, #ARGV, 2 do
  written = written + redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
return written
