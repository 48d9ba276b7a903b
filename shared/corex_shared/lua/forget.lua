-- Remove the state of jobs that go back to their list, so that they can be accepted anew.
--
-- KEYS     state hash of each job
-- ARGV[1]  incarnation that holds them
--
-- Returns the number removed; a job that has finished or that another incarnation holds stays.
-- What must be known of claims that were handed on before (lua/takeover.lua) stays too.
--
-- Atomic because the holder may change between the look and the removal.
local function forget(state)
  for _, field in ipairs(redis.call('HKEYS', state)) do
    if string.sub(field, 1, 5) == 'gone:' then
      redis.call('HDEL', state, 'claim', 'node', 'claimed')
      redis.call('HSET', state, 'holder', '', 'stage', 'queued')
      return
    end
  end
  redis.call('DEL', state)
end

local removed = 0
for _, state in ipairs(KEYS) do
  local seen = redis.pcall('HMGET', state, 'holder', 'stage')
  if seen[1] == ARGV[1] and seen[2] ~= 'finished' then
    forget(state)
    removed = removed + 1
  end
end
return removed
