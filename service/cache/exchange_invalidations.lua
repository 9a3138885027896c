-- Raises invalidations, and returns to a replica those that it does not know.
--
-- KEYS[1]  a hash: the sealed instant of each name, and `version`, which is another one after every change
-- ARGV[1]  the TTL of them all, in milliseconds
-- ARGV[2]  the version that the replica knows
-- ARGV[3]  the version to come if this changes anything
-- ARGV[4]  the latest believable instant, in microseconds
-- ARGV[5]  the most fields that gateways could ever write here
-- ARGV[6…] name, sealed instant, the value there that the replica knows to be no invalidation, and three more, …
--
-- A sealed instant begins with 16 digits, the microseconds since 1970; the rest is its seal. It is never lowered, unless
-- it comes from the future or is known to be no invalidation. Those that `everything` has overtaken are dropped.
--
-- Returns the version, and all that there is now, field, value, field, value, …, or nil if the replica knows it. If an
-- instant that was sent is not there now, because another value was in its way, the replica does not know that value;
-- but under `everything` a foreign value stays: it may be that of gateways with another secret.

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
  -- A value of another type is not ours. Any other error goes to the caller.
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
  -- So many are of other programs, and replicas would stand still while they read them. They send theirs again.
  redis.call('DEL', KEYS[1])
  version, fields = false, {}
end
return {version or '', fields}
