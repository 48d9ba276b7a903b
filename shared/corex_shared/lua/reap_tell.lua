-- Tell that the lease of a node has run out, once for each absence, whoever notices it.
--
-- KEYS[1]  absence that was told last
-- KEYS[2]  presence hash of the node
-- ARGV[1]  absence: when the node was seen last
-- ARGV[2]  ms for which it is remembered that this was told
-- ARGV[3]  channel of events
-- ARGV[4]  event
--
-- Returns 1 if it was told, 0 if it had been, or if the node is there again.
--
-- Atomic because many may notice it at the same moment.
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('GET', KEYS[1]) == ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
