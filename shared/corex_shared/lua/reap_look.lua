-- List the nodes that fell silent since the last look.
--
-- KEYS[1]  sorted set of all nodes
-- ARGV[1]  when the span begins that was not looked at yet: ms since the epoch, or -inf
-- ARGV[2]  ms for which a node has been silent at least
--
-- Returns {server time in ms, end of the span, {node, when it was seen last, node, …}}.
--
-- Atomic because the span ends at the time at which it is looked at.
-- include time
local now = now_ms()
local till = string.format('%.0f', now - ARGV[2])
return {now, till, redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], till, 'WITHSCORES')}
