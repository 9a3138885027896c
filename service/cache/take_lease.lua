-- Leases a look-up for one replica.
--
-- KEYS[1]  the lease
-- ARGV[1]  our token
-- ARGV[2]  its time in milliseconds
--
-- Returns 1 if it is ours, else the token of its holder; of anything longer as many bytes as show that it is none.
--
-- It may be ours already: the command is sent again when a connection breaks before the answer has come.

local holder = redis.pcall('GETRANGE', KEYS[1], 0, #ARGV[1])
if type(holder) == 'table' then
  -- A value of another type is no lease, and SET would free it while all wait. Any other error goes to the caller.
  if not string.find(holder.err, '^WRONGTYPE') then
    return holder
  end
  redis.call('UNLINK', KEYS[1])
  holder = ''
end
if holder == '' or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
-- No lease of ours lasts longer than this. A value of another program, without an end, must not stay for ever.
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return holder
