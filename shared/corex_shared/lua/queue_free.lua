-- Take a fleet-wide queue from whoever holds it, because somebody asked for that.
--
-- KEYS[1]  hash: the job that holds the queue
-- KEYS[2]  list of jobs that wait, as <node>/<job>
-- KEYS[3]  hash of those who are there (see queue_take.lua)
-- ARGV[1]  channel on which nodes hear that the queue is free
-- ARGV[2]  how long it is known who lost the queue so, in ms
--
-- Returns {node, job, token} of the holder, a false when there is none. To be asked once: another
-- time may hit the next holder.
--
-- Atomic because the holder that is told and the one that loses the queue must be the same.
-- include time
local now = now_ms()
local owner = redis.call('HMGET', KEYS[1], 'node', 'job', 'token')
local token = owner[3] or redis.call('HGET', KEYS[3], '!token')  -- or: its lease has run out
if not token then
  return false
end
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[3], '!token', '!job', '?!token')

local known = redis.call('HGETALL', KEYS[3])
for i = 1, #known, 2 do
  if string.sub(known[i], 1, 6) == '!hand:' and now - known[i + 1] > tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[3], known[i])  -- its holder never asked
  end
end
redis.call('HSET', KEYS[3], '!hand:' .. token, string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[3], ARGV[2])

local head = redis.call('LINDEX', KEYS[2], 0)
if head then
  redis.call('PUBLISH', ARGV[1], string.match(head, '^[^/]*'))
end
return {owner[1] or '', owner[2] or '', token}
