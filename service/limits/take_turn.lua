-- Gives out the next turn to ask the store, for all replicas together.
--
-- KEYS[1]  the budget: tokens, counted_at, share, paused_until, refusals (see TokenBucket for what they mean)
-- ARGV[1]  requests a second, ARGV[2] the burst
-- ARGV[3]  tokens that must be left for others, 0 for a caller who waits
-- ARGV[4]  the longest wait that is worth it, in milliseconds
--
-- Returns {1, wait in ms, tokens * 1000, share * 1000}; {0, wait in ms, …} if that is too long;
-- {-1, ms left of the pause, …} while the store wants to be left alone. Only 1 spends a token.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local rate, burst = tonumber(ARGV[1]) / 1000, tonumber(ARGV[2])
local reserve, patience = tonumber(ARGV[3]), tonumber(ARGV[4])

local known = redis.call('HMGET', KEYS[1], 'tokens', 'counted_at', 'share', 'paused_until')
local tokens = tonumber(known[1]) or burst
local counted_at = tonumber(known[2]) or now
local share = tonumber(known[3]) or 1
local paused_until = tonumber(known[4]) or 0

-- A clock that jumped back must not freeze the budget.
local elapsed = math.max(0, now - counted_at)
tokens = math.min(burst, tokens + elapsed * rate * share)
local left = paused_until - now
if left > 0 and left <= 60000 then
  return {-1, math.ceil(left), math.floor(tokens * 1000), math.floor(share * 1000)}
end

local wait = math.ceil(math.max(0, 1 + reserve - tokens) / (rate * share))
local granted = 0
if wait <= patience then
  granted = 1
  tokens = tokens - 1
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'counted_at', now, 'share', tostring(share))
redis.call('PEXPIRE', KEYS[1], 600000)
return {granted, wait, math.floor(tokens * 1000), math.floor(share * 1000)}
