-- Look through a part of a list of a node that is gone, for commands that may expire.
--
-- KEYS[1]  list of commands
-- KEYS[2]  presence hash of the node
-- KEYS[3]  note of the node's reapers
-- ARGV[1]  the reaper's note, renewed here
-- ARGV[2]  ms for which it is to stand
-- ARGV[3]  index of the first element
-- ARGV[4]  elements to look at, at most
-- ARGV[5]  bytes of payloads after which no further ones are looked at
--
-- Returns {server time in ms, index after the last that was looked at, 1 if the list ends there,
--         {index, payload, …}}, or -1 when the node is there again, or the note is another's.
--
-- Atomic because the commands of a node that is there are its own.
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
-- include time
local now = now_ms()

local at, budget, found = tonumber(ARGV[3]), tonumber(ARGV[5]), {}
local till, ended = at + ARGV[4], 0
while at < till and budget > 0 do
  local part = redis.call('LRANGE', KEYS[1], at, math.min(at + 20, till) - 1)
  if #part == 0 then
    ended = 1
    break
  end
  for i, payload in ipairs(part) do
    if string.find(payload, 'expires_at', 1, true) then
      found[#found + 1] = at + i - 1
      found[#found + 1] = payload
      budget = budget - #payload
    end
  end
  at = at + #part
end
return {now, at, ended, found}
