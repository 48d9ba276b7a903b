-- Take a node that has been gone for long off the list of all nodes.
--
-- KEYS[1]  sorted set of all nodes
-- ARGV[1]  node
-- ARGV[2]  when it was seen last, as it was read
--
-- Returns 1 if it was taken off; a node that was seen since stays.
--
-- Atomic because it may be seen between the look and the removal.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
