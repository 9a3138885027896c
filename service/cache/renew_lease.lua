-- Renews a lease that is still ours.
--
-- KEYS[1]  the lease
-- ARGV[1]  our token
-- ARGV[2]  its time from now on, in milliseconds
--
-- Returns 1 if it was ours, else 0.

-- One byte more than ours is read, however long the value is; one of another type is not ours.
if redis.pcall('GETRANGE', KEYS[1], 0, #ARGV[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
