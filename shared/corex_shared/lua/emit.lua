-- Append messages to a job's log and publish them.
--
-- KEYS[1]  log stream of the job
-- KEYS[2]  its state hash
-- ARGV[1]  channel of the job
-- ARGV[2]  ID of the first entry that the log keeps (about: whole nodes are trimmed)
-- ARGV[3]  ms after which a log that nothing ends may go
-- ARGV[4]  incarnation that writes
-- ARGV[5…] two for each message: seq, payload
--
-- The entry of seq n has the ID n+1: a message that is in the log already (its answer was lost)
-- is neither written nor published again, and a reader finds what it missed by XRANGE. A log that
-- somebody else wrote to, or that is no stream, costs the log only: the message is published.
--
-- Returns the number published, or -1 when another incarnation holds the job, or has settled it; or,
-- when all is in the log, the error of a channel that the user may not publish on.
--
-- Atomic because a late subscriber must find in the log whatever it did not hear, and nothing may
-- follow a job's last message.
local holder = redis.pcall('HGET', KEYS[2], 'holder')
if type(holder) == 'string' and holder ~= ARGV[4] then
  return -1
end

local function is_there(id, payload)
  local found = redis.pcall('XRANGE', KEYS[1], id, id)
  return not found.err and found[1] and found[1][2][2] == payload
end

local published, refused = 0, nil
for i = 5, #ARGV, 2 do
  local id, payload = string.format('%.0f-0', ARGV[i] + 1), ARGV[i + 1]
  local added = redis.pcall('XADD', KEYS[1], 'MINID', '~', ARGV[2], id, 'm', payload)
  if type(added) ~= 'table' or not is_there(id, payload) then
    local heard = redis.pcall('PUBLISH', ARGV[1], payload)
    refused = type(heard) == 'table' and heard or refused
    published = published + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return refused or published
