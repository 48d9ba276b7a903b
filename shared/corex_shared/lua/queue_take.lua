-- Take a fleet-wide queue for the job at the head of its line, if that is a job of this node.
--
-- KEYS[1]  hash with a TTL, the lease: the job that holds the queue
-- KEYS[2]  list of jobs that wait, as <node>/<job>
-- KEYS[3]  hash: <node> → until when it is taken to be there, in ms;
--          ?<node> → since when its turn has come and it is silent, in ms;
--          !token, !job → token that was granted last and not given back, and <node>/<job> of it;
--          ?!token → that token, and since when its lease is known to have run out, in ms;
--          !hand:<token> → when somebody took the queue from the holder of that token, in ms
-- KEYS[4]  last fencing token
-- ARGV[1]  node
-- ARGV[2]  incarnation of its agent
-- ARGV[3]  lease in ms
-- ARGV[4]  how long the list is kept when nobody asks for it, in ms
-- ARGV[5]  how long the last token is kept, in ms
-- ARGV[6]  how long one who should be there is waited for, in ms: when Redis itself was away,
--          everybody's time has run out, and whoever asks first must not take it for death
--
-- Returns {1 when this node was not known to wait, else 0; length of the line before;
--          the job of this node and incarnation that holds the queue now, its token}, the last two
-- only when there is one. It may hold it from before: the answer was lost then.
--
-- Atomic because two nodes may ask at the same moment.
-- include time
local now = now_ms()
local now_text = string.format('%.0f', now)
local node, incarnation, doubt = ARGV[1], ARGV[2], tonumber(ARGV[6])

local new = redis.call('HSET', KEYS[3], node, string.format('%.0f', now + ARGV[3]))
redis.call('HDEL', KEYS[3], '?' .. node)
redis.call('PEXPIRE', KEYS[3], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
local length = redis.call('LLEN', KEYS[2])

local owner = redis.call('HMGET', KEYS[1], 'node', 'incarnation', 'job', 'token')
if owner[1] then
  if owner[1] == node and owner[2] == incarnation then
    return {new, length, owner[3], tonumber(owner[4])}
  end
  return {new, length}
end

local lapsed = redis.call('HGET', KEYS[3], '!token')
if lapsed then
  local token, since = string.match(redis.call('HGET', KEYS[3], '?!token') or '', '^(%d+) (%d+)$')
  if token ~= lapsed then
    redis.call('HSET', KEYS[3], '?!token', lapsed .. ' ' .. now_text)
    return {new, length}
  end
  if now - since < doubt then
    return {new, length}
  end
  redis.call('HDEL', KEYS[3], '!token', '!job', '?!token')
end

-- Bounded, so that a long line of the dead does not hold the server up; the next look goes on.
for _ = 1, 1000 do
  local head = redis.call('LINDEX', KEYS[2], 0)
  if not head then
    break
  end
  local at, job = string.match(head, '^([^/]*)/(.*)$')
  if at == node then
    local token = redis.call('INCR', KEYS[4])
    redis.call('PEXPIRE', KEYS[4], ARGV[5])
    redis.call('HSET', KEYS[1], 'node', node, 'incarnation', incarnation, 'job', job,
               'token', token, 'since', now_text)
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    redis.call('HSET', KEYS[3], '!token', token, '!job', head)
    redis.call('LPOP', KEYS[2])
    return {new, length, job, token}
  end
  if at then  -- else it is nothing that a node has written
    local there = redis.call('HGET', KEYS[3], at)
    if there and tonumber(there) >= now then
      break
    end
    local since = redis.call('HGET', KEYS[3], '?' .. at)
    if not since then
      redis.call('HSET', KEYS[3], '?' .. at, now_text)
      break
    end
    if now - since < doubt then
      break
    end
    redis.call('HDEL', KEYS[3], at)  -- by which it sees, if it comes back, that it lost its place
  end
  redis.call('LPOP', KEYS[2])
end
return {new, length}
