-- Move claimed payloads that cannot be taken to the node's rejected list.
--
-- KEYS[1]  rejected list of the node
-- KEYS[2]  claimed hash of the node; none for payloads that a group has, which one script cannot
--          reach, or that are told again: these are only noted here, and released, if at all, in a
--          step of their own
-- ARGV[1]  entries kept
-- ARGV[2]  ms after which an untouched list goes
-- ARGV[3…] four for each payload: its field when it was claimed, the job ID under which it may
--          have been filed meanwhile ('' for none), its claim, its entry for the list
--
-- Returns the number moved; a field that is gone was moved before. An entry that is there already is
-- not put there again: the server had forgotten that its payload was claimed.
--
-- Atomic because a payload must be in one of the two, once.
local function claimed_as(field, job, claim)
  if redis.call('HEXISTS', KEYS[2], field) == 1 then
    return field
  end
  local filed = job ~= '' and redis.call('HGET', KEYS[2], job)
  local header = filed and string.match(filed, '^[^\n]*')
  if header and string.match(header, ' (.*)$') == claim then
    return job
  end
  return nil
end

local moved = 0
for i = 3, #ARGV, 4 do
  local field = KEYS[2] and claimed_as(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if field or not KEYS[2] then
    if not redis.call('LPOS', KEYS[1], ARGV[i + 3]) then
      redis.call('LPUSH', KEYS[1], ARGV[i + 3])  -- first: if this fails, it is still claimed
      moved = moved + 1
    end
    if field then
      redis.call('HDEL', KEYS[2], field)
    end
  end
end
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[1]) - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return moved
