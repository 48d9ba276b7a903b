-- Renew what a node has of a fleet-wide queue: leases of its jobs that hold it, and that it waits.
--
-- KEYS[1]  hash: the job that holds the queue
-- KEYS[2]  list of jobs that wait
-- KEYS[3]  hash of those who are there (see queue_take.lua)
-- KEYS[4]  last fencing token
-- ARGV[1]  node
-- ARGV[2]  incarnation of its agent
-- ARGV[3]  lease in ms
-- ARGV[4]  how long the list is kept when nobody asks for it, in ms
-- ARGV[5]  how long the last token is kept, in ms
-- ARGV[6]  1 when jobs of the node wait, else 0
-- ARGV[7…] two for each job that holds the queue, as far as its node knows: its ID, its token
--
-- Returns for each such job: 1 it holds the queue (also: its lease had run out, but nobody has held
-- the queue since), 2 somebody took the queue from it by hand, 0 it has lost the queue.
--
-- Atomic because the queue may change hands between the look and the renewal.
-- include time
local now = now_ms()
local node, incarnation = ARGV[1], ARGV[2]

redis.call('PEXPIRE', KEYS[3], ARGV[4])
-- A node that is not known to wait lost its places: it must see so by queue_take.lua.
if ARGV[6] == '1' and redis.call('HEXISTS', KEYS[3], node) == 1 then
  redis.call('HSET', KEYS[3], node, string.format('%.0f', now + ARGV[3]))
  redis.call('HDEL', KEYS[3], '?' .. node)
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end

local function restore(job, token)
  local since = string.format('%.0f', now)
  redis.call('HSET', KEYS[1], 'node', node, 'incarnation', incarnation, 'job', job,
             'token', token, 'since', since)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('SET', KEYS[4], token)
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
  redis.call('HSET', KEYS[3], '!token', token, '!job', node .. '/' .. job)
  redis.call('HDEL', KEYS[3], '?!token')
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
end

local answers = {}
for i = 7, #ARGV, 2 do
  local job, token = ARGV[i], ARGV[i + 1]
  local owner = redis.call('HMGET', KEYS[1], 'node', 'incarnation', 'job', 'token')
  local last = tonumber(redis.call('GET', KEYS[4]) or 0)
  local answer = 0
  if owner[1] == node and owner[2] == incarnation and owner[3] == job and owner[4] == token then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    answer = 1
  elseif redis.call('HEXISTS', KEYS[3], '!hand:' .. token) == 1 then
    answer = 2
  elseif not owner[1]
      and (redis.call('HGET', KEYS[3], '!token') == token or last < tonumber(token)) then
    restore(job, token)  -- the latter: Redis lost the grant when it crashed
    answer = 1
  end
  answers[#answers + 1] = answer
end
return answers
