-- Move expired commands of a node that is gone from a list into its claimed hash, each under a
-- number, as if the node had claimed them.
--
-- KEYS[1]  list of commands
-- KEYS[2]  claimed hash of the node
-- KEYS[3]  presence hash of the node
-- ARGV[1]  prefix of the fields ('@' commands, '!' control)
-- ARGV[2]  a text that no payload is
-- ARGV[3…] two for each command: its index in the list, its payload; another that is there by now
--          is left alone
--
-- Numbers are the server's time in µs, less a millisecond: below those of every agent that takes
-- the node's lease from now on (it counts from its first ms on, see ClaimNumbers), above those of
-- every agent that had it.
--
-- Returns for each command its number, 0 if it was not moved; or -1 when the node is there again.
--
-- Atomic because a payload must be in one of the two, once.
if redis.call('EXISTS', KEYS[3]) == 1 then
  return -1
end
redis.call('HLEN', KEYS[2])  -- fails, before anything is taken, if it is no hash
local time = redis.call('TIME')
local number = time[1] * 1000000 + time[2] - 1000

local numbers, moved = {}, 0
for i = 3, #ARGV, 2 do
  local at, payload = ARGV[i], ARGV[i + 1]
  if redis.call('LINDEX', KEYS[1], at) == payload then
    local field
    repeat
      number = number - 1
      field = ARGV[1] .. string.format('%.0f', number)
    until redis.call('HSETNX', KEYS[2], field, payload) == 1
    redis.call('LSET', KEYS[1], at, ARGV[2])
    moved = moved + 1
    numbers[#numbers + 1] = string.format('%.0f', number)
  else
    numbers[#numbers + 1] = '0'
  end
end
if moved > 0 then
  redis.call('LREM', KEYS[1], moved, ARGV[2])
end
return numbers
