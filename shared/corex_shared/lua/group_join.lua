-- Take the lease of a member of a group, in place of those of its node's earlier incarnations.
--
-- KEYS[1]  leases of the group
-- ARGV[1]  member: `<node>/<incarnation>`
-- ARGV[2]  node
-- ARGV[3]  lease in ms
--
-- Returns the number of earlier ones that were removed.
--
-- Atomic because a node must never be seen to be gone while its commands have an heir.
-- include lease
redis.call('ZADD', KEYS[1], now_ms() + ARGV[3], ARGV[1])
local removed = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if member ~= ARGV[1] and string.match(member, '^~?(.*)/') == ARGV[2] then
    removed = removed + redis.call('ZREM', KEYS[1], member)
  end
end
return removed
