-- Returns the note beside an override; nothing if there is none.
--
-- KEYS[1]  the note
-- ARGV[1]  the most bytes that are read: any program may have put anything here

local note = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[1] - 1)
return type(note) == 'string' and note or ''
