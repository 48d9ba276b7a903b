-- Write the results of jobs, each only if there is none yet and the writer still holds the job.
--
-- KEYS     four for each job: its state hash, result list, log stream, the sender's inbox
--          ('' for none; where one script cannot reach it, it is told in a step of its own)
-- ARGV[1]  incarnation that writes
-- ARGV[2]  retention in ms
-- ARGV[3]  channel of the node's log
-- ARGV[4]  entries kept in an inbox
-- ARGV[5]  ms after which an unread inbox goes
-- ARGV[6…] seven for each job: result, its state, what the inbox hears, last message, its seq,
--          channel of the job ('' if it streams nothing), 1 if the node's log gets the message
--
-- Returns for each job: 1 written, 0 there was a result, -1 another incarnation holds the job,
--         -2 one of its keys is of another type: somebody else wrote it.
--
-- Atomic because no second result may replace or follow the first.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local inboxes = {}

local function finish(state, result, log, inbox, at)
  local holder = redis.call('HGET', state, 'holder')
  if holder and holder ~= ARGV[1] then
    return -1
  end
  if redis.call('EXISTS', result) == 1 then
    return 0
  end
  redis.call('RPUSH', result, ARGV[at])
  redis.call('PEXPIRE', result, ARGV[2])
  redis.call('HSET', state, 'stage', 'finished', 'state', ARGV[at + 1], 'finished', now)
  redis.call('PEXPIRE', state, ARGV[2])
  -- The result is written; whatever somebody did to the other keys costs those only.
  local message, channel = ARGV[at + 3], ARGV[at + 5]
  if inbox ~= '' then
    redis.pcall('RPUSH', inbox, ARGV[at + 2])
    inboxes[inbox] = true
  end
  if ARGV[at + 6] == '1' then
    redis.call('PUBLISH', ARGV[3], message)
  end
  if channel ~= '' then
    redis.pcall('XADD', log, string.format('%.0f-0', ARGV[at + 4] + 1), 'm', message)
    redis.call('PEXPIRE', log, ARGV[2])
    redis.call('PUBLISH', channel, message)
  end
  return 1
end

local answers = {}
for i = 1, #KEYS / 4 do
  local at = 4 * i - 3
  local ok, answer = pcall(finish, KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], 7 * i - 1)
  if not ok then
    local text = type(answer) == 'table' and answer.err or tostring(answer)
    if not string.find(text, 'WRONGTYPE', 1, true) then
      error(answer)
    end
    answer = -2
  end
  answers[i] = answer
end
for inbox in pairs(inboxes) do
  redis.pcall('LTRIM', inbox, '-' .. ARGV[4], -1)
  redis.call('PEXPIRE', inbox, ARGV[5])
end
return answers
