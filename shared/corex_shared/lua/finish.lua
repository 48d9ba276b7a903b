-- Write the results of jobs, each only if there is none yet and the writer still holds the job.
--
-- KEYS     four for each job: its state hash, result list, log stream, the sender's inbox
--          (its state again for none; where one script cannot reach it, it is told in a step of
--          its own)
-- ARGV[1]  incarnation that writes
-- ARGV[2]  retention in ms
-- ARGV[3]  channel of the node's log
-- ARGV[4]  entries kept in an inbox
-- ARGV[5]  ms after which an unread inbox goes
-- ARGV[6]  node
-- ARGV[7…] eight for each job: result, its state, what the inbox hears, last message, its seq,
--          channel of the job ('' if it streams nothing), 1 if the node's log gets the message,
--          claim if the writer has not accepted the job (lua/accept.lua): whoever holds it
--          under that claim holds it no more; else ''
--
-- Returns for each job: 1 written, 0 there is a result or was one, -1 another incarnation holds
--         the job (or is to get it: lua/takeover.lua), -2 one of its keys is of another type:
--         somebody else wrote it, -3 the ID belongs to another command.
-- A job whose stage is `finished` had a result, even if a client has removed it.
--
-- Atomic because no second result may replace or follow the first.
-- include time
local now = string.format('%.0f', now_ms())

local inboxes = {}

local function obstacle(state, result, claim)
  local seen = redis.call('HMGET', state, 'claim', 'holder', 'stage', 'gone:' .. claim)
  local done = redis.call('EXISTS', result) == 1 or seen[3] == 'finished'
  if claim ~= '' and seen[4] then
    return -1
  elseif claim ~= '' and seen[1] ~= claim and (seen[1] or done) then
    return -3
  elseif claim == '' and seen[2] and seen[2] ~= ARGV[1] then
    return -1
  end
  return done and 0 or nil
end

local function finish(state, result, log, inbox, at)
  local claim = ARGV[at + 7]
  local stop = obstacle(state, result, claim)
  if stop then
    return stop
  end
  redis.call('RPUSH', result, ARGV[at])
  redis.call('PEXPIRE', result, ARGV[2])
  if claim == '' then
    redis.call('HSET', state, 'stage', 'finished', 'state', ARGV[at + 1], 'finished', now)
  else
    redis.call('HSET', state, 'stage', 'finished', 'state', ARGV[at + 1], 'finished', now,
               'node', ARGV[6], 'claim', claim, 'holder', ARGV[1])
  end
  redis.call('PEXPIRE', state, ARGV[2])
  -- The result is written; whatever somebody did to the other keys costs those only.
  local message, channel = ARGV[at + 3], ARGV[at + 5]
  if inbox ~= state then
    redis.pcall('RPUSH', inbox, ARGV[at + 2])
    inboxes[inbox] = true
  end
  if ARGV[at + 6] == '1' then
    redis.pcall('PUBLISH', ARGV[3], message)
  end
  if channel ~= '' then
    redis.pcall('XADD', log, string.format('%.0f-0', ARGV[at + 4] + 1), 'm', message)
    redis.call('PEXPIRE', log, ARGV[2])
    redis.pcall('PUBLISH', channel, message)
  end
  return 1
end

-- include wrongtype
local answers = {}
for i = 1, #KEYS / 4 do
  local at = 4 * i - 3
  local refused = ARGV[8 * i + 6] == '' and -2 or -3
  answers[i] = unless_wrong_type(refused, finish, KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3],
                                 8 * i - 1)
end
for inbox in pairs(inboxes) do
  redis.pcall('LTRIM', inbox, '-' .. ARGV[4], -1)
  redis.call('PEXPIRE', inbox, ARGV[5])
end
return answers
