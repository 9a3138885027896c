-- Puts the players of a download key in the place of those that were read, unless others are there by now.
--
-- KEYS[1]  the players
-- ARGV[1]  the bytes that were read, empty if there were none
-- ARGV[2]  the bytes to put there
-- ARGV[3]  their TTL, in milliseconds
-- ARGV[4]  the most bytes that are read: of a longer value, which is not ours, these are the first
--
-- Returns 1 if they are there now, else the bytes that are.

local there = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[4] - 1)
if type(there) == 'table' then
  -- A value of another type is not ours, and SET would free it while all wait. Any other error goes to the caller.
  if not string.find(there.err, '^WRONGTYPE') then
    return there
  end
  redis.call('UNLINK', KEYS[1])
  there = ''
end
if there ~= ARGV[1] then
  return there
end
-- Alone: were the players unlinked first, they would be lost where Redis has no memory for one more.
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
