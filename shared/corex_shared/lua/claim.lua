-- Claim commands: move payloads from the left of a list into the claimed hash beside it.
--
-- KEYS[1]  list of commands, of a node or a group
-- KEYS[2]  claimed hash of the same
-- KEYS[3]  its lease: presence hash of the node, or leases of the group
-- ARGV[1]  who asks: incarnation, or member of the group
-- ARGV[2]  how many at most
-- ARGV[3]  bytes after which no further payload is taken
-- ARGV[4]  size in bytes above which only the head of a payload is kept
-- ARGV[5]  prefix of the fields ('@' commands, '!' control, '@<node>/' of a group)
-- ARGV[6]  number of the first field; the others count on from it
--
-- Returns the payloads in order, of a cut one its head and its whole size; a false in their place
-- when the node is quiet or the lease is not the asker's. The i-th payload stays in field
-- <prefix><number + i - 1> of the hash, as it is, until lua/stage.lua files it under its job ID.
-- A member of a group gets no more than its share, so that the others are not idle.
--
-- Atomic because a payload must never be outside Redis and remembered nowhere.
-- include lease
local among = sharers(KEYS[3], ARGV[1])
if not among then
  return false
end
redis.call('HLEN', KEYS[2])  -- fails, before anything is taken, if it is no hash

local most, budget, cap = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local number, taken = tonumber(ARGV[6]), {}
most = math.min(most, math.ceil(redis.call('LLEN', KEYS[1]) / among))
-- In steps, so that no more is looked at than about what is taken; and so that `unpack` never
-- gets more than it can hold.
while #taken < most and budget > 0 do
  local from = #taken
  local found = redis.call('LRANGE', KEYS[1], from, math.min(from + 32, most) - 1)
  if #found == 0 then
    break
  end
  local fields = {}
  for _, payload in ipairs(found) do
    if budget <= 0 then
      break
    end
    local size = #payload
    if size > cap then
      payload = string.sub(payload, 1, cap)
    end
    budget = budget - #payload
    fields[#fields + 1] = ARGV[5] .. string.format('%.0f', number + #taken)
    fields[#fields + 1] = payload
    taken[#taken + 1] = size > cap and {payload, size} or payload
  end
  redis.call('HSET', KEYS[2], unpack(fields))
end
if #taken > 0 then
  redis.call('LTRIM', KEYS[1], #taken, -1)
end
return taken
