-- Leases a look-up for one replica.
--
-- KEYS[1]  the lease
-- ARGV[1]  our token
-- ARGV[2]  for how many milliseconds
--
-- Returns 1 if it is ours, else the token of who has it.
--
-- It may be ours already: the command is sent again when a connection breaks before the answer has come.

local holder = redis.pcall('GET', KEYS[1])
-- A value of another type is nobody's lease. SET replaces it, and tells of any other error.
if not holder or holder == ARGV[1] or type(holder) == 'table' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
-- No lease of ours lasts longer than this. Something else, put there without an end, must not be in the way for ever.
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return holder
