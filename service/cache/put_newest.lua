-- Stores a sealed entry unless a newer one is there.
--
-- KEYS[1]  the entry's key
-- ARGV[1]  the sealed entry: version, class (1 = the store said no), 8 bytes of microseconds, ...
-- ARGV[2]  its TTL in milliseconds
-- ARGV[3]  the latest believable instant, in microseconds
--
-- Returns 1 if it was stored, 2 if it was and a no has replaced a yes, 0 if the entry there is newer and stays.
--
-- Instants are compared as numbers: comparing strings would follow the server's locale. Up to the year 2255 they are
-- exact in a double; a larger one only has to stay larger than ARGV[3].

local HEADER = 10

local function class_and_instant(entry)
  local instant = 0
  for position = 3, HEADER do
    instant = instant * 256 + string.byte(entry, position)
  end
  return string.byte(entry, 2), instant
end

local known = redis.pcall('GETRANGE', KEYS[1], 0, HEADER - 1)
if type(known) == 'table' then
  -- A value of another type is not ours, and SET would free it while all wait. Any other error goes to the caller.
  if not string.find(known.err, '^WRONGTYPE') then
    return known
  end
  redis.call('UNLINK', KEYS[1])
  known = false
end

local overruled = false
if known and #known == HEADER then
  local class, instant = class_and_instant(ARGV[1])
  local known_class, known_instant = class_and_instant(known)
  -- An entry from the future is garbage, and must not stay there for ever.
  local believable = known_instant <= tonumber(ARGV[3])
  local newer = known_instant > instant
  local stronger = known_instant == instant and known_class == 1 and class ~= 1
  if believable and (newer or stronger) then
    return 0
  end
  overruled = class == 1 and known_class ~= 1
end

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return overruled and 2 or 1
