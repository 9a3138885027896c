-- Takes note, for all replicas, that the store answers again: a little of the rate comes back. Follows budget.lua.
--
-- ARGV[6]  how much of the rate comes back
--
-- Says 1; -1 and what is left of the pause for an answer that was asked for before it, and counts for nothing.

if paused_until > now then
  return keep(-1, paused_until - now)
end
set_share(math.min(1, share + tonumber(ARGV[6])))
refusals = 0
return keep(1, 0)
