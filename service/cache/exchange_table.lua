-- Takes in entries of the replicated table, and returns to a replica those that it does not know. Follows
-- own_hash.lua.
--
-- KEYS[1]  a hash: each entry under its number, the number of each place under the place, and `first` and `last`, the
--          bounds of the numbers in use
-- ARGV[1]  the TTL of it all, in milliseconds
-- ARGV[2]  the number up to which the replica has read
-- ARGV[3]  the seal of the entry with that number, empty if there was none
-- ARGV[4]  the most entries to return
-- ARGV[5]  the time, ARGV[6] the latest believable version, in microseconds
-- ARGV[7…] an entry, the value in its place that the replica knows to be no entry, …
--
-- The form of an entry is in table_entry.py. Each that arrives gets the next number, however old it is: so no replica
-- misses one that was on its way for long. Of one place the entry with the highest version is kept; one that is known to
-- be no entry, or from the future, is replaced.
--
-- Returns the time in seconds and microseconds; the number up to which the replica has read now, the seal there, and the
-- last number; 1 if Redis has lost what the replica had read before; the entries that were there in place of those that
-- arrived; and those that the replica does not know.
--
-- Bounds that ours cannot have begin anew.

local PLACE, SEAL, LARGEST, DIGITS = 25, 16, 121, 16
local LAST_INVALIDATING = 2
local WHOLE_GAME = string.rep('\0', 16)
local MOST_NUMBERS = 1000000
local FAR_APART = 20000
local MOST_LOOKED_AT = 1000

local key, now, latest = KEYS[1], tonumber(ARGV[5]), tonumber(ARGV[6])

local function number(text)
  return text and string.find(text, '^%d+$') and tonumber(text)
end

local function digits(value)
  return string.format('%.0f', value)
end

-- Numbers, because comparing strings would follow the server's locale. Up to the year 2255 they are exact in a double.
local function instant(entry, from)
  local value = 0
  for position = from, from + 7 do
    value = value * 256 + string.byte(entry, position)
  end
  return value
end

local function version(entry)
  return instant(entry, PLACE + 1)
end

local function place_of(entry)
  return string.sub(entry, 1, PLACE)
end

local function entry_at(at)
  local entry = held(digits(at), LARGEST)
  return entry and #entry >= PLACE + 16 + SEAL and entry
end

local first, last = number(held('first', DIGITS)), number(held('last', DIGITS))
if not (first and last and first >= 1 and first <= last + 1 and last - first < MOST_NUMBERS) then
  redis.call('UNLINK', key)
  first, last = 1, 0
end

local seen = tonumber(ARGV[2])
local known_there = seen > 0 and ARGV[3] ~= '' and entry_at(seen)
local lost = seen > last or (known_there and string.sub(known_there, -SEAL) ~= ARGV[3])

local function append(entry)
  last = last + 1
  redis.call('HSET', key, digits(last), entry, place_of(entry), digits(last))
end

-- Whether all names of its game have a newer entry.
local function overtaken(entry)
  if string.byte(entry, 1) > LAST_INVALIDATING then
    return false
  end
  local place = '\1' .. string.sub(entry, 2, 9) .. WHOLE_GAME
  local at = number(held(place, DIGITS))
  local whole = at and place ~= place_of(entry) and entry_at(at)
  return whole and place_of(whole) == place and version(whole) >= version(entry)
end

-- Frees old numbers, two for each that is given out, so that those in use do not lie far apart.
local function tidy()
  for _ = 1, 2 do
    if first >= last then
      return
    end
    local entry, field = entry_at(first), digits(first)
    local place = entry and place_of(entry)
    if entry and held(place, DIGITS) == field then
      if instant(entry, PLACE + 9) <= now or overtaken(entry) then
        redis.call('HDEL', key, place)
      elseif last - first >= FAR_APART then
        append(entry)
      else
        return
      end
    end
    redis.call('HDEL', key, field)
    first = first + 1
  end
end

local in_place, changed = {}, false
for position = 7, #ARGV, 2 do
  local entry, no_entry = ARGV[position], ARGV[position + 1]
  local at = number(held(place_of(entry), DIGITS))
  local known = at and entry_at(at)
  if known and place_of(known) ~= place_of(entry) then
    known = false
  end
  if known and known ~= no_entry and version(known) <= latest and version(known) >= version(entry) then
    if known ~= entry then
      in_place[#in_place + 1] = known
    end
  else
    if known then
      redis.call('HDEL', key, digits(at))
    end
    append(entry)
    tidy()
    changed = true
  end
end
if changed then
  redis.call('HSET', key, 'first', digits(first), 'last', digits(last))
  redis.call('PEXPIRE', key, ARGV[1])
end

local from = math.max(lost and 0 or seen, first - 1)
local upto, unknown, seal = from, {}, from == seen and ARGV[3] or ''
while upto < last and upto - from < MOST_LOOKED_AT and #unknown < tonumber(ARGV[4]) do
  upto = upto + 1
  local entry = entry_at(upto)
  unknown[#unknown + 1] = entry or nil
  seal = entry and string.sub(entry, -SEAL) or ''
end
local clock = redis.call('TIME')
return {tonumber(clock[1]), tonumber(clock[2]), upto, seal, last, lost and 1 or 0, in_place, unknown}
