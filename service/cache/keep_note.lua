-- Keeps the note beside an override, in the place of anything else.
--
-- KEYS[1]  the note
-- ARGV[1]  the sealed note, empty to keep none
-- ARGV[2]  its TTL in milliseconds

-- Not SET alone: it would free a large value of another program while all wait.
redis.call('UNLINK', KEYS[1])
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
