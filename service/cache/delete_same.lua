-- Deletes an entry if reading it still returns exactly these bytes: a good one may have been stored since.
--
-- KEYS[1]  the entry's key
-- ARGV[1]  the bytes that were read
-- ARGV[2]  the most that are read of any entry: of a longer value these are the first
--
-- Returns 1 if it was deleted, else 0.

if redis.call('GETRANGE', KEYS[1], 0, ARGV[2] - 1) == ARGV[1] then
  return redis.call('UNLINK', KEYS[1])
end
return 0
