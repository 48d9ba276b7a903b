-- Take or renew the lease of a node and write its heartbeat.
--
-- KEYS[1]  presence hash of the node
-- ARGV[1]  incarnation that asks
-- ARGV[2]  lease in ms
-- ARGV[3]  incarnation that may be replaced (its process is known to be gone), or ''
-- ARGV[4…] field, value, field, value … of the heartbeat
--
-- Returns {1, server time in ms, 1 if nobody held it, else 0} when the lease is held now, else
--         {0, server time in ms, holder, its boot, its pid, its pid_start, its host, its addr,
--          its started, TTL in ms}.
--
-- Atomic because between looking at the holder and becoming it another agent could do the same.
-- include time
local now = now_ms()
local holder = redis.call('HGET', KEYS[1], 'incarnation')
if holder and holder ~= ARGV[1] then
  if holder ~= ARGV[3] then
    local seen = redis.call('HMGET', KEYS[1], 'boot', 'pid', 'pid_start', 'host', 'addr',
                            'started')
    return {0, now, holder, seen[1] or '', seen[2] or '', seen[3] or '', seen[4] or '',
            seen[5] or '', seen[6] or '', redis.call('PTTL', KEYS[1])}
  end
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'incarnation', ARGV[1])
for i = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, now, holder and 0 or 1}
