-- Read some of what a node that is gone has claimed: that which may be settled.
--
-- KEYS[1]  claimed hash of the node
-- KEYS[2]  presence hash of the node
-- KEYS[3]  note of the node's reapers
-- ARGV[1]  the reaper's note, renewed here
-- ARGV[2]  ms for which it is to stand
-- ARGV[3]  cursor, 0 at first
-- ARGV[4]  entries that one step looks at, about
-- ARGV[5]  bytes after which no further entries are read
--
-- Commands that have not started and do not expire are left out: nobody but their node has to do
-- with them. (A name of a field that is written in escapes is not seen; its command waits.)
--
-- Returns {server time in ms, next cursor ('0' at the end), {field, value, …}}, or -1 when the node
-- is there again, or the note is another's.
--
-- Atomic because what a node that is there has claimed is its own.
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
-- include time
local now = now_ms()

local cursor, found, looked, budget = ARGV[3], {}, 0, tonumber(ARGV[5])
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', 20)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    local field, value = page[2][i], page[2][i + 1]
    looked = looked + 1
    if string.sub(value, 1, 8) == 'running ' or string.find(value, 'expires_at', 1, true) then
      found[#found + 1] = field
      found[#found + 1] = value
      budget = budget - #value
    end
  end
until cursor == '0' or looked >= tonumber(ARGV[4]) or budget <= 0
return {now, cursor, found}
