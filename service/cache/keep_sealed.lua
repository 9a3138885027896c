-- Keeps a sealed value in the place of anything else; with none, leaves nothing there.
--
-- KEYS[1]  the key
-- ARGV[1]  the sealed value, empty for none
-- ARGV[2]  its TTL in milliseconds

-- Not SET alone: it would free a large value of another program while all wait.
redis.call('UNLINK', KEYS[1])
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
