-- Write the stage of claimed commands, filing each under its job ID.
--
-- KEYS[1]  claimed hash of the node
-- KEYS[2]  presence hash of the node
-- ARGV[1]  incarnation that asks
-- ARGV[2…] three for each command: field it is in now, job ID, header
--
-- A filed value is the header, a newline, and the payload as it was pushed. The header is
-- `<stage> <claim>`, readable with HGETALL.
--
-- Returns the number written, or -1 when another incarnation has the lease, -2 when nobody has. A
-- field that is gone, and a job ID that another payload has, are left alone.
--
-- Atomic because a reader must find each command once, under either field.
local holder = redis.call('HGET', KEYS[2], 'incarnation')
if holder ~= ARGV[1] then
  return holder and -1 or -2
end
local written = 0
for i = 2, #ARGV, 3 do
  local from, job, header = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local value = redis.call('HGET', KEYS[1], from)
  if value and from == job then
    value = string.sub(value, string.find(value, '\n', 1, true) + 1)
    redis.call('HSET', KEYS[1], job, header .. '\n' .. value)
    written = written + 1
  elseif value and redis.call('HSETNX', KEYS[1], job, header .. '\n' .. value) == 1 then
    redis.call('HDEL', KEYS[1], from)
    written = written + 1
  end
end
return written
