-- Counts a try at the code of a challenge.
--
-- KEYS[1]  the tries so far
-- ARGV[1]  the most tries
-- ARGV[2]  the milliseconds until the challenge ends
--
-- Returns the number of this try, one more than the most if there was none left.

local most = tonumber(ARGV[1])
local there = redis.pcall('GETRANGE', KEYS[1], 0, 15)
if type(there) == 'table' then
  -- A value of another type is not ours, and SET would free it while all wait. Any other error goes to the caller.
  if not string.find(there.err, '^WRONGTYPE') then
    return there
  end
  redis.call('UNLINK', KEYS[1])
  there = ''
end
local used = tonumber(there) or 0
if used >= most then
  return most + 1
end
used = math.max(0, math.floor(used)) + 1
redis.call('SET', KEYS[1], string.format('%d', used), 'PX', ARGV[2])
return used
