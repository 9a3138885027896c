-- Returns a refusal, or the list of those about a player; nothing if there is none.
--
-- KEYS[1]  the refusal, or the list
-- ARGV[1]  the most bytes that are read: any program may have put anything here

local value = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[1] - 1)
return type(value) == 'string' and value or ''
