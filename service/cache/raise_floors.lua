-- Raises the floors below which observations are no longer used; a floor is never lowered.
--
-- KEYS[1]  the floors: a hash from name to microseconds since 1970, and `version`, which grows with every change
-- ARGV[1]  how long to keep them all, in milliseconds
-- ARGV[2…] name, floor, name, floor, …
--
-- Returns the version.

local changed = false
for position = 2, #ARGV, 2 do
  local known = tonumber(redis.call('HGET', KEYS[1], ARGV[position])) or 0
  if tonumber(ARGV[position + 1]) > known then
    redis.call('HSET', KEYS[1], ARGV[position], ARGV[position + 1])
    changed = true
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if changed then
  return redis.call('HINCRBY', KEYS[1], 'version', 1)
end
return tonumber(redis.call('HGET', KEYS[1], 'version')) or 0
