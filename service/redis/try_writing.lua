-- Finds out whether scripts may run and write; it leaves a value that expires within a second.
--
-- KEYS[1]  a key that has no other use

redis.call('SET', KEYS[1], '1', 'PX', 1000)
return 1
