-- Renew the lease of a member of a group.
--
-- KEYS[1]  leases of the group
-- ARGV[1]  member: `<node>/<incarnation>`
-- ARGV[2]  lease in ms
-- ARGV[3]  1 if it is quiet from now on, else 0
--
-- Returns 1, or 0 when it is a member no more: what it had claimed is others' then.
--
-- Atomic because it may be removed between the look and the renewal.
-- include lease
local quiet = '~' .. ARGV[1]
local was_quiet = redis.call('ZSCORE', KEYS[1], quiet)
if not was_quiet and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
if was_quiet or ARGV[3] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[1], now_ms() + ARGV[2], quiet)
else
  redis.call('ZADD', KEYS[1], now_ms() + ARGV[2], ARGV[1])
end
return 1
