-- Remove the state of jobs that go back to their list, so that they can be accepted anew.
--
-- KEYS     state hash of each job
-- ARGV[1]  incarnation that holds them
--
-- Returns the number removed; a job that has finished or that another incarnation holds stays.
--
-- Atomic because the holder may change between the look and the removal.
local removed = 0
for _, state in ipairs(KEYS) do
  local seen = redis.pcall('HMGET', state, 'holder', 'stage')
  if seen[1] == ARGV[1] and seen[2] ~= 'finished' then
    removed = removed + redis.call('DEL', state)
  end
end
return removed
