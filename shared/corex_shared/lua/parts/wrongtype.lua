-- What a step answers; `instead` if one of its keys is of another type: somebody else wrote that,
-- and it costs this item only. Any other error ends the script.
local function unless_wrong_type(instead, step, ...)
  local ok, answer = pcall(step, ...)
  if ok then
    return answer
  end
  local text = type(answer) == 'table' and answer.err or tostring(answer)
  if not string.find(text, 'WRONGTYPE', 1, true) then
    error(answer)
  end
  return instead
end
