-- Have jobs of one node stand in line for a fleet-wide queue.
--
-- KEYS[1]  hash: the job that holds the queue
-- KEYS[2]  list of jobs that wait, as <node>/<job>
-- KEYS[3]  hash: node → until when it is taken to be there, and more (see queue_take.lua)
-- KEYS[4]  last fencing token
-- ARGV[1]  node
-- ARGV[2]  incarnation of its agent
-- ARGV[3]  lease in ms
-- ARGV[4]  how long the list is kept when nobody asks for it, in ms
-- ARGV[5]  how long the last token is kept, in ms
-- ARGV[6…] two for each job, in the order of the line: its ID, and 1 when it is the job that an
--          earlier agent of the node knew by that ID, if there was one, else 0
--
-- Returns for each job: 0 when it stands in line, where it stood before if it did; its fencing
-- token when it holds the queue: it was granted before and the answer was lost, or it was granted
-- to the node's earlier agent and is taken over, with a new token.
--
-- Atomic because a job must neither stand in line twice nor behind itself as the holder.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local node, incarnation = ARGV[1], ARGV[2]
local owner = redis.call('HMGET', KEYS[1], 'node', 'job', 'incarnation', 'token')

redis.call('HSET', KEYS[3], node, string.format('%.0f', now + ARGV[3]))
redis.call('HDEL', KEYS[3], '?' .. node)
redis.call('PEXPIRE', KEYS[3], ARGV[4])

local standing  -- entries of the list, when so many are looked for that one look is cheaper
if #ARGV > 5 + 2 * 8 then
  standing = {}
  for _, entry in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    standing[entry] = true
  end
end

local function stand(job)
  local entry = node .. '/' .. job
  local there
  if standing then
    there = standing[entry]
    standing[entry] = true
  else
    there = redis.call('LPOS', KEYS[2], entry)
  end
  if not there then
    redis.call('RPUSH', KEYS[2], entry)
  end
end

local function take_over(job)
  local token = redis.call('INCR', KEYS[4])
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
  redis.call('HSET', KEYS[1], 'incarnation', incarnation, 'token', token,
             'since', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('HSET', KEYS[3], '!token', token)
  redis.call('LREM', KEYS[2], 1, node .. '/' .. job)
  return token
end

local answers = {}
for i = 6, #ARGV, 2 do
  local job = ARGV[i]
  local token = 0
  if owner[1] ~= node or owner[2] ~= job then
    stand(job)
  elseif owner[3] == incarnation then
    token = tonumber(owner[4])
  elseif ARGV[i + 1] == '1' then
    token = take_over(job)
  else
    stand(job)
  end
  answers[#answers + 1] = token
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return answers
