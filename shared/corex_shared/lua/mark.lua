-- Write the stage of jobs where clients look, and how often those have run that may run again.
--
-- KEYS     state hash of each job
-- ARGV[1]  incarnation that holds them
-- ARGV[2…] three for each job: its stage; how often it has run, and how many of these runs failed
--          in a row ('' for both if it runs once)
--
-- Returns the number written; a job that has finished, one that another incarnation holds, and
-- a key of another type are left alone.
--
-- Atomic because the holder may change between the look and the write.
local written = 0
for i, state in ipairs(KEYS) do
  local seen = redis.pcall('HMGET', state, 'holder', 'stage')
  if seen[1] == ARGV[1] and seen[2] ~= 'finished' then
    local at = 3 * i - 1
    redis.call('HSET', state, 'stage', ARGV[at])
    if ARGV[at + 1] ~= '' then
      redis.call('HSET', state, 'runs', ARGV[at + 1], 'failed', ARGV[at + 2])
    end
    written = written + 1
  end
end
return written
