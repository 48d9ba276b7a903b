-- Append messages to a job's log and publish them.
--
-- KEYS[1]  log stream of the job
-- ARGV[1]  channel of the job
-- ARGV[2]  ID of the first entry that the log keeps (about: whole nodes are trimmed)
-- ARGV[3]  ms after which a log that nothing ends may go
-- ARGV[4…] two for each message: seq, payload
--
-- The entry of seq n has the ID n+1: a message that is in the log already (its answer was lost)
-- is neither written nor published again, and a reader finds what it missed by XRANGE.
--
-- Returns the number appended.
--
-- Atomic because a late subscriber must find in the log whatever it did not hear.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local done = last[1] and tonumber(string.match(last[1][1], '^%d+')) or 0
local appended = 0
for i = 4, #ARGV, 2 do
  local entry = ARGV[i] + 1
  if entry > done then
    redis.call('XADD', KEYS[1], 'MINID', '~', ARGV[2], string.format('%.0f-0', entry),
               'm', ARGV[i + 1])
    redis.call('PUBLISH', ARGV[1], ARGV[i + 1])
    appended = appended + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return appended
