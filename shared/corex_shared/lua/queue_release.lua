-- Give a fleet-wide queue back, or a place in its line.
--
-- KEYS[1]  hash: the job that holds the queue
-- KEYS[2]  list of jobs that wait, as <node>/<job>
-- KEYS[3]  hash of those who are there (see queue_take.lua)
-- ARGV[1]  node
-- ARGV[2]  channel on which nodes hear that the queue is free
-- ARGV[3…] three for each job: its ID; its token, or '' when it waits (as far as the node knows:
--          it may have been granted the queue meanwhile); incarnation of the agent that it waits
--          or waited by, '' for any
--
-- Returns how many of them held the queue.
--
-- Atomic because by the time this arrives the queue may be another's.
local node = ARGV[1]
local freed = 0

local function has_lapsed(field, value)  -- its lease ran out, and nobody has taken the queue yet
  return redis.call('EXISTS', KEYS[1]) == 0 and redis.call('HGET', KEYS[3], field) == value
end

for i = 3, #ARGV, 3 do
  local job, token, incarnation = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local owner = redis.call('HMGET', KEYS[1], 'node', 'job', 'token', 'incarnation')
  local holds = owner[1] == node and owner[2] == job
  if token == '' then
    redis.call('LREM', KEYS[2], 1, node .. '/' .. job)
    holds = holds and (incarnation == '' or owner[4] == incarnation)
      or has_lapsed('!job', node .. '/' .. job)
  else
    holds = holds and owner[3] == token or has_lapsed('!token', token)
    redis.call('HDEL', KEYS[3], '!hand:' .. token)
  end
  if holds then
    redis.call('DEL', KEYS[1])
    redis.call('HDEL', KEYS[3], '!token', '!job', '?!token')
    freed = freed + 1
  end
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  local head = redis.call('LINDEX', KEYS[2], 0)
  if head then
    redis.call('PUBLISH', ARGV[2], string.match(head, '^[^/]*'))
  end
end
return freed
