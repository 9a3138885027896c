-- Releases a lease that is still ours.
--
-- KEYS[1]  the lease
-- ARGV[1]  our token
--
-- Returns 1 if it was ours, else 0.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
