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
-- to the node's earlier agent and is taken over, with a new token; the same when its lease has run
-- out and nobody has held the queue since.
--
-- Atomic because a job must neither stand in line twice nor behind itself as the holder.
-- include time
local now = now_ms()
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

local function is_standing(entry)
  if standing then
    return standing[entry]
  end
  return redis.call('LPOS', KEYS[2], entry)
end

local function take_over(job)
  local token = redis.call('INCR', KEYS[4])
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
  redis.call('HSET', KEYS[1], 'node', node, 'incarnation', incarnation, 'job', job,
             'token', token, 'since', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('HSET', KEYS[3], '!token', token, '!job', node .. '/' .. job)
  redis.call('LREM', KEYS[2], 1, node .. '/' .. job)
  return token
end

-- The job that was granted the queue last and has not given it back, when its lease has run out.
local lapsed = not owner[1] and redis.call('HGET', KEYS[3], '!job')

local answers, entries = {}, {}
for i = 6, #ARGV, 2 do
  local job = ARGV[i]
  local token = 0
  if owner[1] == node and owner[2] == job and owner[3] == incarnation then
    token = tonumber(owner[4])
  elseif owner[1] == node and owner[2] == job and ARGV[i + 1] == '1'
      or lapsed == node .. '/' .. job then
    token = take_over(job)
  else
    entries[#entries + 1] = node .. '/' .. job
  end
  answers[#answers + 1] = token
end

-- One that has lost its place stands before the next of its node that has not, so that the order
-- of a node's jobs stays; else at the end.
local anchor
local last = {}
for i = #entries, 1, -1 do
  if is_standing(entries[i]) then
    anchor = entries[i]
  elseif anchor then
    redis.call('LINSERT', KEYS[2], 'BEFORE', anchor, entries[i])
    anchor = entries[i]
  else
    last[#last + 1] = entries[i]
  end
end
for i = #last, 1, -1 do
  redis.call('RPUSH', KEYS[2], last[i])
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return answers
