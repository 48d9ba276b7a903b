-- Forget commands of a node that is gone whose results are written.
--
-- KEYS[1]  claimed hash of the node
-- KEYS[2]  presence hash of the node
-- ARGV[1]… two for each command: its field, its claim
--
-- Returns the number removed, or -1 when the node is there again: then they are its own. A field
-- that has another claim by now is left alone.
--
-- Atomic because the node may come back between the look and the removal.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return -1
end
local removed = 0
for i = 1, #ARGV, 2 do
  local field, first = ARGV[i], string.sub(ARGV[i], 1, 1)
  -- A number is given once; a job ID may have been filed anew.
  local is_same = first == '@' or first == '!'
  if not is_same then
    local header = string.match(redis.call('HGET', KEYS[1], field) or '', '^[^\n]*')
    is_same = string.match(header, ' (.*)$') == ARGV[i + 1]
  end
  if is_same then
    removed = removed + redis.call('HDEL', KEYS[1], field)
  end
end
return removed
