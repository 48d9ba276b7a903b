-- Write the stage of claimed commands, filing each under its job ID.
--
-- KEYS[1]  claimed hash of a node or a group
-- KEYS[2]  its lease: presence hash of the node, or leases of the group
-- ARGV[1]  who asks: incarnation, or member of the group
-- ARGV[2…] three for each command: field it is in now, job ID, header
--
-- A filed value is the header, a newline, and the payload as it was pushed. The header is
-- `<stage> <claim>`, readable with HGETALL.
--
-- Returns the number written, or -1 when somebody else has the lease, -2 when nobody has. A field
-- that is gone, and a job ID that another payload has, are left alone.
--
-- Atomic because a reader must find each command once, under either field.
-- include lease
if not holds(KEYS[2], ARGV[1]) then
  return refusal(KEYS[2], ARGV[1])
end
local written = 0
for i = 2, #ARGV, 3 do
  local from, job, header = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local value = redis.call('HGET', KEYS[1], from)
  if value and from == job then
    if claim_of(value) == claim_of(header) then
      value = string.sub(value, string.find(value, '\n', 1, true) + 1)
      redis.call('HSET', KEYS[1], job, header .. '\n' .. value)
      written = written + 1
    end
  elseif value and redis.call('HSETNX', KEYS[1], job, header .. '\n' .. value) == 1 then
    redis.call('HDEL', KEYS[1], from)
    written = written + 1
  end
end
return written
