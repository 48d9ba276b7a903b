-- Look, in steps, for claimed commands of a group whose node is gone from it, or is a certain one.
--
-- KEYS[1]  claimed hash of the group
-- KEYS[2]  its leases
-- ARGV[1]  node whose commands are wanted too
-- ARGV[2]  cursor, 0 at first
-- ARGV[3]  how many commands to look at, about
--
-- Returns the next cursor (0 at the end), then two for each command: its field, and its header
-- `<stage> <node>/<number>`, which of an unfiled one is empty.
--
-- Atomic because it is one look; payloads may be large, and are not sent.
-- include lease
local members = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  members[string.match(member, '^~?(.*)/') or ''] = true
end
local step = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local found = {step[1]}
for i = 1, #step[2], 2 do
  local field, header = step[2][i], ''
  local node = string.match(field, '^@(.*)/%d+$')
  if not node then
    header = string.match(step[2][i + 1], '^[^\n]*')
    node = string.match(header, '^%S+ (.*)/%d+$')
  end
  if node and (node == ARGV[1] or not members[node]) then
    found[#found + 1] = field
    found[#found + 1] = header
  end
end
return found
