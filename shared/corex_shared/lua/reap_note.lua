-- Begin or end to settle the jobs of a node that is gone: note who does, or did, and for how long
-- nobody else needs to. (The note spares work. That nothing happens twice depends on other things.)
--
-- KEYS[1]  note of the node's reapers
-- KEYS[2]  presence hash of the node
-- KEYS[3]  claimed hash of the node
-- KEYS[4]  list of commands
-- KEYS[5]  list of control commands
-- ARGV[1]  note: when the node was seen last, a space, the reaper's incarnation
-- ARGV[2]  ms for which it is to stand
--
-- Returns {1, server time in ms, claimed entries, commands, control commands} when the note is
--         written,
--         {0, server time in ms, ms for which another's note of the same absence stands still},
--         {-1, server time in ms, ms for which the node's lease lasts}.
--
-- Atomic because two reapers may begin at the same moment.
-- include time
local now = now_ms()
local lease = redis.call('PTTL', KEYS[2])
if lease ~= -2 then
  return {-1, now, lease}
end
local function absence(note)
  return note and string.match(note, '^%S+')
end
local note = redis.call('GET', KEYS[1])
if note and note ~= ARGV[1] and absence(note) == absence(ARGV[1]) then
  return {0, now, redis.call('PTTL', KEYS[1])}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, now, redis.call('HLEN', KEYS[3]), redis.call('LLEN', KEYS[4]),
        redis.call('LLEN', KEYS[5])}
