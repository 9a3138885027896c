-- Gives a replica the turn to ask the store about a canary, unless it was asked lately. Follows own_hash.lua.
--
-- KEYS[1]  a hash: `asked_at`, the time of the last turn of all, and for each canary, by its name, the time of its last
--          turn (`a:`), the time at which it was told what came of it (`t:`), and the last answer (`o:`, sealed). Times
--          are those of Redis in milliseconds
-- ARGV[1]  the name of the canary
-- ARGV[2]  the shortest time between two turns, ARGV[3] that between two of one canary, in milliseconds
-- ARGV[4]  the TTL of it all, in milliseconds
-- ARGV[5]  the most bytes of an answer that are read
--
-- Returns the time until the next turn of all, and that until this canary is to be tried again, in milliseconds, and its
-- last answer. If both times are 0, the turn is the replica's. While another replica asks, the canary is to be tried
-- again soon, to learn what came of it.
--
-- No time is believed that is still to come.

local DIGITS = 16

local key, name = KEYS[1], ARGV[1]
local spacing, period = tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The milliseconds since the time in a field, false if there is none that has been.
local function since(field)
  local text = held(field, DIGITS)
  local at = text and string.find(text, '^%d+$') and tonumber(text)
  return at and at <= now and now - at
end

local function note(field)
  redis.call('HSET', key, field, string.format('%.0f', now))
  redis.call('PEXPIRE', key, ARGV[4])
end

local last = since('asked_at')
if not last then
  -- What was forgotten may have been just now.
  note('asked_at')
  last = 0
end
local asked, told = since('a:' .. name), since('t:' .. name)
local wait = math.max(0, spacing - last)
local canary_wait = asked and math.max(0, period - asked) or 0
if canary_wait > 0 and not (told and told <= asked) then
  canary_wait = math.min(canary_wait, spacing)
end
if wait == 0 and canary_wait == 0 then
  note('asked_at')
  note('a:' .. name)
end
return {wait, canary_wait, held('o:' .. name, tonumber(ARGV[5])) or ''}
