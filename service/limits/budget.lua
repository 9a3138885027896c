-- The store budget as all replicas share it: the beginning of each script on it. Follows own_hash.lua.
--
-- KEYS[1]  the budget, a hash: tokens, counted_at, share, paused_until, refusals (explained in ProcessBudget)
-- ARGV[1]  requests a second, ARGV[2] the burst
-- ARGV[3]  the longest wait of a caller in milliseconds
-- ARGV[4]  the smallest share, ARGV[5] the longest pause in milliseconds
-- ARGV[6]  the tokens that the asker knows of: where there is no budget, it was lost, and goes on from there
-- ARGV[7]  the most tokens to go on with: none for an asker that has just spent without Redis
--
-- Every script returns the state of the budget after it: {said, wait in ms, tokens * 1000, share * 1000}.

local rate, burst, longest_wait = tonumber(ARGV[1]) / 1000, tonumber(ARGV[2]), tonumber(ARGV[3])
local smallest_share, longest_pause = tonumber(ARGV[4]), tonumber(ARGV[5])
local LONGEST_NUMBER = 32

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Values that cannot be true are not believed: nonsense, not-a-number, instants of a clock that was set back since.
local function number_held(field, lowest, highest, otherwise)
  local text = held(field, LONGEST_NUMBER)
  local number = text and tonumber(text)
  if number and number >= lowest and number <= highest then
    return number
  end
  return otherwise
end

local tokens = math.max(number_held('tokens', -math.huge, burst, tonumber(ARGV[6])), -longest_wait * rate)
local counted_at = number_held('counted_at', 0, now, now)
local share = number_held('share', smallest_share, 1, 1)
local paused_until = number_held('paused_until', 0, now + longest_pause, 0)
local refusals = number_held('refusals', 0, 8, 0)
tokens = math.min(burst, tonumber(ARGV[7]), tokens + (now - counted_at) * rate * share)

-- Turns that were given out stay as they are: callers who queue pay off the debt at the pace that was promised.
local function set_share(new)
  if tokens < 0 then
    tokens = tokens * new / share
  end
  share = new
end

-- Stores the state of the budget, and returns it. For a week, longer than any entry of the cache: a Redis that is
-- full evicts first what would expire first, and a budget that is forgotten starts with a full burst and no pause.
local function keep(said, wait)
  redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'counted_at', now, 'share', tostring(share),
    'paused_until', paused_until, 'refusals', refusals)
  redis.call('PEXPIRE', KEYS[1], 604800000)
  return {said, wait, math.floor(tokens * 1000), math.floor(share * 1000)}
end
