-- Takes note, for all replicas, that the store answers again: a little of the rate comes back. Follows budget.lua.
--
-- ARGV[8]  the share of the rate that comes back
--
-- Says 1; or -1 and the rest of the pause, if there is one: then the answer was asked for before it and is not counted.

if paused_until > now then
  return keep(-1, paused_until - now)
end
set_share(math.min(1, share + tonumber(ARGV[8])))
refusals = 0
return keep(1, 0)
