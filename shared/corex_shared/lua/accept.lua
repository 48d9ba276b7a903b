-- Make jobs of commands: each ID gets its state, unless it is in use or has a result.
--
-- KEYS     two for each job: its state hash, its result list
-- ARGV[1]  incarnation that will hold the jobs
-- ARGV[2]  node
-- ARGV[3…] three for each job: its claim (a name for this one payload, the same whenever the
--          payload is accepted again after a crash or a lost answer), its stage, 1 if this
--          incarnation has claimed it itself, else '' (a predecessor has)
--
-- Returns for each job: 1 accepted (also: accepted before, under the same claim),
--         2 under the same claim, with a result already, 0 the ID belongs to another command
--         (or its keys to somebody else: they are of another type), -1 the claim was handed on:
--         it is on its way back to the list of its group (lua/takeover.lua), -2 it was claimed
--         here, and somebody else holds it by now: a successor, while this agent was stopped.
-- A job whose stage is `finished` had a result, even if a client has removed it.
--
-- Atomic because two nodes may be handed one ID at the same moment.
-- include time
local now = string.format('%.0f', now_ms())

local function accept(state, result, claim, stage, fresh)
  local seen = redis.call('HMGET', state, 'claim', 'stage', 'holder', 'gone:' .. claim)
  local owner = seen[1]
  if seen[4] then
    return -1
  end
  local done = redis.call('EXISTS', result) == 1 or seen[2] == 'finished'
  if owner == claim then
    if done then
      return 2
    elseif fresh == '1' and seen[3] and seen[3] ~= ARGV[1] then
      return -2
    end
    redis.call('HSET', state, 'holder', ARGV[1], 'stage', stage)
    return 1
  end
  if owner or done then
    return 0
  end
  redis.call('HSET', state, 'node', ARGV[2], 'claim', claim, 'holder', ARGV[1],
             'stage', stage, 'claimed', now)
  return 1
end

-- include wrongtype
local answers = {}
for i = 1, #KEYS / 2 do
  local at = 3 * i
  answers[i] = unless_wrong_type(0, accept, KEYS[2 * i - 1], KEYS[2 * i],
                                 ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
return answers
