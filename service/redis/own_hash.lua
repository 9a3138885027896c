-- A hash that only our scripts write to: the beginning of each script on one.
--
-- KEYS[1]  the hash
--
-- Any program may have put anything there. A value of another type is not ours, would be in the way for ever, and is
-- removed; any other error goes to the caller.

local tried = redis.pcall('HSTRLEN', KEYS[1], '')
if type(tried) == 'table' then
  if not string.find(tried.err, '^WRONGTYPE') then
    return tried
  end
  redis.call('UNLINK', KEYS[1])
end

-- The value of a field, false if there is none, or one that is longer than ours are.
local function held(field, most)
  local length = redis.call('HSTRLEN', KEYS[1], field)
  return length > 0 and length <= most and redis.call('HGET', KEYS[1], field)
end
