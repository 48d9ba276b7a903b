-- Write the record of a run on many nodes, and be the one who drives it.
--
-- KEYS[1]  record of the run
-- KEYS[2]  its journal
-- KEYS[3]  who drives it: hash with a TTL, the lease
-- KEYS[4]  last token that a driver was given
-- ARGV[1]  the record
-- ARGV[2]  driver that begins: a name that nobody else has
-- ARGV[3]  lease in ms
-- ARGV[4]  ms for which record and journal are kept
-- ARGV[5…] first entries of the journal, in order
--
-- Returns the driver's token; 0 when there is another record of that ID, or somebody else has gone
-- on with this one. A repetition, because the answer was lost, returns the token again.
--
-- Atomic because nobody may find a record of which it is not known who drives it.
if redis.call('EXISTS', KEYS[1]) == 1 then
  local owner = redis.call('HMGET', KEYS[3], 'holder', 'token')
  if redis.call('GET', KEYS[1]) == ARGV[1] and owner[1] == ARGV[2] then
    return tonumber(owner[2])
  end
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3])
for i = 5, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
local token = redis.call('INCR', KEYS[4])
redis.call('HSET', KEYS[3], 'holder', ARGV[2], 'token', token)
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PEXPIRE', KEYS[4], ARGV[4])
return token
