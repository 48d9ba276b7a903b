-- Leases are of two kinds. A node's is its presence hash, held by the incarnation that stands in
-- it. A group's are a sorted set of members `<node>/<incarnation>`, each with the end of its lease
-- in ms; a quiet member is preceded by a `~`. An incarnation has no slash: so `holder` tells which.
--
-- A member whose lease is over holds it until somebody has removed it (lua/group_sweep.lua): before
-- that, nobody takes anything of it over. But it claims nothing.
-- include time

local function is_member(holder)
  return string.find(holder, '/', 1, true) ~= nil
end

local function holds(key, holder)
  if is_member(holder) then
    return (redis.call('ZSCORE', key, holder) or redis.call('ZSCORE', key, '~' .. holder)) and true
  end
  return redis.call('HGET', key, 'incarnation') == holder
end

-- What a script answers to one who does not hold a lease: -1 somebody else does, or a group goes on
-- without him; -2 nobody holds the node's.
local function refusal(key, holder)
  if not is_member(holder) and not redis.call('HGET', key, 'incarnation') then
    return -2
  end
  return -1
end

-- Among how many a list is shared; nil when the holder may not claim.
local function sharers(key, holder)
  if not is_member(holder) then
    local lease = redis.call('HMGET', key, 'incarnation', 'quiet')
    return lease[1] == holder and lease[2] ~= '1' and 1 or nil
  end
  local now, ends = now_ms(), redis.call('ZSCORE', key, holder)
  if not ends or tonumber(ends) <= now then
    return nil
  end
  return redis.call('ZCOUNT', key, string.format('(%.0f', now), '+inf')
end

-- Whether a node has no member in a group.
local function is_gone(key, node)
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if string.match(member, '^~?(.*)/') == node then
      return false
    end
  end
  return true
end

-- Whether `holder` may deal with commands: its own, or, if `dead` is the name of a node, those of
-- that node, which must be gone from the group.
local function may_settle(key, holder, dead)
  return holds(key, holder) and (dead == '' or is_gone(key, dead))
end

-- The claim in the header `<stage> <claim>` of a filed command.
local function claim_of(header)
  return string.match(header, '^%S+ ([^\n]*)')
end

-- Whether a field is that of an unfiled command: these are named after their claims.
local function is_unfiled(field)
  return string.find(field, '^[@!]') ~= nil
end

-- Whether a field of a claimed hash holds the command of a claim: '' stands for any.
local function is_claimed(key, field, claim)
  if claim == '' or is_unfiled(field) then
    return true
  end
  local value = redis.call('HGET', key, field)
  return value and claim_of(value) == claim
end
