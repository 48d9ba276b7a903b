-- Give the lease of a node back.
--
-- KEYS[1]  presence hash of the node
-- ARGV[1]  incarnation that asks
--
-- Returns 1 if it held the lease, else 0.
--
-- Atomic because a successor's lease must not be deleted.
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
