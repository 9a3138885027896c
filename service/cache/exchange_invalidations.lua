-- Raises invalidations under what was observed, and tells a replica of those that it does not know.
--
-- KEYS[1]  a hash: the sealed instant of each name, and `version`, which is another one after every change
-- ARGV[1]  how long to keep them all, in milliseconds
-- ARGV[2]  the version that the replica knows
-- ARGV[3]  the version to come if this changes anything
-- ARGV[4]  the latest believable instant, in microseconds
-- ARGV[5]  the most fields that gateways could ever make of it
-- ARGV[6…] name, sealed instant, the value that the replica knows to be none, and three more, …
--
-- A sealed instant begins with 16 digits, the microseconds since 1970; the rest is its seal. It is never lowered, unless
-- it claims to come from the future or is known to be none. Those that `everything` has overtaken are dropped.
--
-- Returns the version, and all that there is now, field, value, field, value, …, or nil if the replica knows it. What
-- was sent and is not there now, because something else was in its way, the replica does not know; but `everything`, in
-- whose way may be that of gateways with another secret, stays as it is.

local DIGITS = 16
local EVERYTHING = 'everything'

local function instant(sealed)
  return sealed and tonumber(string.sub(sealed, 1, DIGITS)) or 0
end

local function drop_overtaken(everything)
  local fields = redis.call('HGETALL', KEYS[1])
  for position = 1, #fields, 2 do
    local name = fields[position]
    if name ~= 'version' and name ~= EVERYTHING and instant(fields[position + 1]) <= everything then
      redis.call('HDEL', KEYS[1], name)
    end
  end
end

local version = redis.pcall('HGET', KEYS[1], 'version')
if type(version) == 'table' then
  -- A value of another type is not ours. Any other error is the caller's to know.
  if not string.find(version.err, '^WRONGTYPE') then
    return version
  end
  redis.call('DEL', KEYS[1])
  version = false
end

local news = (version or '') ~= ARGV[2]
local changed = false
for position = 6, #ARGV, 3 do
  local name, sealed, no_instant = ARGV[position], ARGV[position + 1], ARGV[position + 2]
  local held = redis.call('HGET', KEYS[1], name)
  local known = held == no_instant and 0 or instant(held)
  if instant(sealed) > known or known > tonumber(ARGV[4]) then
    redis.call('HSET', KEYS[1], name, sealed)
    changed = true
    if name == EVERYTHING then
      drop_overtaken(instant(sealed))
    end
  elseif held ~= sealed and name ~= EVERYTHING then
    news = true
  end
end

if changed then
  version = ARGV[3]
  redis.call('HSET', KEYS[1], 'version', version)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
if not news then
  return {version or '', false}
end

local fields = redis.call('HGETALL', KEYS[1])
if #fields > 2 * tonumber(ARGV[5]) then
  -- Of other programs, and replicas would stand still while they read it. They tell again what they know.
  redis.call('DEL', KEYS[1])
  version, fields = false, {}
end
return {version or '', fields}
