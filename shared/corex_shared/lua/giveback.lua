-- Put claimed commands that were not started back at the left of their list, in order.
--
-- KEYS[1]  list of commands
-- KEYS[2]  claimed hash of the node
-- KEYS[3]  presence hash of the node
-- ARGV[1]  incarnation that asks
-- ARGV[2…] fields of the claimed hash, in the order of the list
--
-- Returns the number put back, or -1 when another incarnation has the lease, -2 when nobody has.
--
-- Atomic because a payload must be in one of the two, once.
local holder = redis.call('HGET', KEYS[3], 'incarnation')
if holder ~= ARGV[1] then
  return holder and -1 or -2
end
local moved = 0
for i = #ARGV, 2, -1 do
  local field = ARGV[i]
  local value = redis.call('HGET', KEYS[2], field)
  if value then
    local first = string.sub(field, 1, 1)
    if first ~= '@' and first ~= '!' then
      value = string.sub(value, string.find(value, '\n', 1, true) + 1)
    end
    redis.call('LPUSH', KEYS[1], value)
    redis.call('HDEL', KEYS[2], field)
    moved = moved + 1
  end
end
return moved
