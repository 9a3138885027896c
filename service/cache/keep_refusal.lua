-- Keeps a refusal under its ids, in the place of anything else, and its name among the last of the players it is about.
--
-- KEYS[1…]  the keys of its ids, then those of lists of names
-- ARGV[1]   the TTL, in milliseconds
-- ARGV[2]   the name of the refusal, 16 bytes
-- ARGV[3…]  the sealed refusal, once for each of its ids
--
-- A list is the names, the latest first. Any program may have put anything here.

local NAME, MOST = 16, 5

for position = 3, #ARGV do
  -- Not SET alone: it would free a large value of another program while all wait.
  redis.call('UNLINK', KEYS[position - 2])
  redis.call('SET', KEYS[position - 2], ARGV[position], 'PX', ARGV[1])
end

for position = #ARGV - 1, #KEYS do
  local known = redis.pcall('GETRANGE', KEYS[position], 0, NAME * (MOST - 1) - 1)
  redis.call('UNLINK', KEYS[position])
  redis.call('SET', KEYS[position], ARGV[2] .. (type(known) == 'string' and known or ''), 'PX', ARGV[1])
end
return 1
