-- Take, renew or give back the right to drive a run, and append to its journal.
--
-- KEYS[1]  record of the run
-- KEYS[2]  its journal
-- KEYS[3]  who drives it: hash with a TTL, the lease
-- KEYS[4]  last token that a driver was given
-- KEYS[5]  who wishes the run to end: there when somebody does
-- ARGV[1]  driver that asks: a name that nobody else has
-- ARGV[2]  its token, 0 if it does not drive (yet)
-- ARGV[3]  lease in ms; 0 gives it back
-- ARGV[4]  ms for which record and journal are kept
-- ARGV[5]  entries that the journal has, as far as the driver knows
-- ARGV[6…] entries to append, in order
--
-- Returns {token, server time in ms, entries in the journal, who wishes the run to end or ''}; the
-- token is 0 when somebody else drives, or has driven since, and -1 when there is no record: then
-- nothing was written. A driver whose lease ran out goes on with its token if nobody else has
-- driven since. Entries that are there already, because an answer was lost, are not appended again.
--
-- Atomic because a driver that lost its lease must write nothing.
-- include time
local now = now_ms()

local function answer(token)
  return {token, now, redis.call('LLEN', KEYS[2]), redis.call('GET', KEYS[5]) or ''}
end

local function token_of(holder)
  local owner = redis.call('HMGET', KEYS[3], 'holder', 'token')
  if owner[1] then
    return owner[1] == holder and tonumber(owner[2]) or 0
  end
  local last = tonumber(redis.call('GET', KEYS[4]) or '0')
  if ARGV[2] == '0' then
    return redis.call('INCR', KEYS[4])
  end
  return tonumber(ARGV[2]) == last and last or 0
end

local function are_there(known, count)
  if redis.call('LLEN', KEYS[2]) < known + count then
    return false
  end
  for i = 1, count do
    if redis.call('LINDEX', KEYS[2], known + i - 1) ~= ARGV[5 + i] then
      return false
    end
  end
  return true
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  return answer(-1)
end
local token = token_of(ARGV[1])
if token == 0 then
  return answer(0)
end
local count = #ARGV - 5
if count > 0 and not are_there(tonumber(ARGV[5]), count) then
  for i = 6, #ARGV do
    redis.call('RPUSH', KEYS[2], ARGV[i])
  end
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[3])
else
  redis.call('HSET', KEYS[3], 'holder', ARGV[1], 'token', token)
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
for i = 1, 5 do
  if i ~= 3 then
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
  end
end
return answer(token)
