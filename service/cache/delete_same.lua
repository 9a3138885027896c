-- Deletes an entry if it still holds exactly the bytes that were read: a good one may have been stored since.
--
-- KEYS[1]  the entry's key
-- ARGV[1]  the bytes that were read
--
-- Returns 1 if it was deleted, else 0.

-- One byte more than ours is read, however long the value is.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
