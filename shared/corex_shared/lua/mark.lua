-- Write the stage of jobs where clients look.
--
-- KEYS     state hash of each job
-- ARGV[1]  incarnation that holds them
-- ARGV[2…] stage of each job
--
-- Returns the number written; a job that has finished, one that another incarnation holds, and
-- a key of another type are left alone.
--
-- Atomic because the holder may change between the look and the write.
local written = 0
for i, state in ipairs(KEYS) do
  local seen = redis.pcall('HMGET', state, 'holder', 'stage')
  if seen[1] == ARGV[1] and seen[2] ~= 'finished' then
    redis.call('HSET', state, 'stage', ARGV[i + 1])
    written = written + 1
  end
end
return written
