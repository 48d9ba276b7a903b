-- Append records to the list of a subscriber of a node's log, and look whether it is read.
--
-- KEYS[1]  list that the subscriber takes records from
-- KEYS[2]  string of the node: '<subscription> <seq>' of the last record written to the list
-- ARGV[1]  subscription, within which seq counts
-- ARGV[2]  seq of the first record here
-- ARGV[3]  records that the list keeps at most, the newest
-- ARGV[4]  length of the list when the writer saw it last: a shorter one was read since
-- ARGV[5]  ms after which a list that nobody reads goes
-- ARGV[6…] records in order, or none only to look
--
-- Returns {length before, length after}.
--
-- Atomic because records whose answer was lost must be told from those that are yet to be written,
-- even if they were read meanwhile.
local before = redis.call('LLEN', KEYS[1])
local subscription, last = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%d+)$')
last = subscription == ARGV[1] and tonumber(last) or -1

for i = 6, #ARGV do
  local seq = ARGV[2] + i - 6
  if seq > last then
    redis.call('RPUSH', KEYS[1], ARGV[i])
    last = seq
  end
end
redis.call('LTRIM', KEYS[1], -ARGV[3], -1)
if before < tonumber(ARGV[4]) or redis.call('PTTL', KEYS[1]) == -1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if last >= 0 then
  redis.call('SET', KEYS[2], string.format('%s %.0f', ARGV[1], last), 'PX', ARGV[5])
end
return {before, redis.call('LLEN', KEYS[1])}
