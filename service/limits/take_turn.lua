-- Gives out the next turn to ask the store, for all replicas together. Follows budget.lua.
--
-- ARGV[8]  tokens that must be left for others, 0 for a caller who waits
-- ARGV[9]  the longest wait that is worth it, in milliseconds
--
-- Says 1 and the wait; 0 and the wait if that is too long; -1 and the rest of the pause while there is one. Only 1
-- spends a token.

local granted, wait = -1, paused_until - now
if wait <= 0 then
  wait = math.ceil(math.max(0, 1 + tonumber(ARGV[8]) - tokens) / (rate * share))
  granted = wait <= tonumber(ARGV[9]) and 1 or 0
  tokens = tokens - granted
end
return keep(granted, wait)
