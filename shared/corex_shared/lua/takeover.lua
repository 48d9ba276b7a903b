-- Take jobs over from a holder that is gone: to write their end, or to hand them on to others.
--
-- KEYS     two for each job: its state hash, its result list
-- ARGV[1]  incarnation that takes over
-- ARGV[2…] three for each job: its claim, the holder that it was seen to have ('' for none) before
--          that was seen to be gone, 1 if the job is to be handed on, else ''
--
-- A job that is handed on is one that nobody has claimed, except that its claim can never be
-- accepted again, nor can a result of it be written: it is in `gone:<claim>`. So its command can go
-- back to its list in a step of its own, whatever the former holder does if it comes back.
--
-- Returns for each job: 1 taken over (also: before), 2 it has a result, 0 the ID belongs to another
--         command (or its keys to somebody else: they are of another type), -1 somebody else has
--         taken it over, 3 it was handed on before, though it was not to be now.
--
-- Atomic because the holder may change between the look and the write.
local function take(state, result, claim, holder, hand_on)
  local seen = redis.call('HMGET', state, 'claim', 'holder', 'gone:' .. claim, 'stage')
  if seen[3] then
    return hand_on == '1' and 1 or 3
  elseif (seen[2] or '') ~= holder then
    return -1
  elseif seen[1] and seen[1] ~= claim then
    return 0
  elseif redis.call('EXISTS', result) == 1 or seen[4] == 'finished' then
    return seen[1] and 2 or 0
  elseif hand_on == '1' then
    redis.call('HDEL', state, 'claim', 'node', 'claimed')
    redis.call('HSET', state, 'gone:' .. claim, 1, 'holder', ARGV[1], 'stage', 'queued')
  else
    redis.call('HSET', state, 'claim', claim, 'holder', ARGV[1])
  end
  return 1
end

-- include wrongtype
local answers = {}
for i = 1, #KEYS / 2 do
  local at = 3 * i - 1
  answers[i] = unless_wrong_type(0, take, KEYS[2 * i - 1], KEYS[2 * i],
                                 ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
return answers
