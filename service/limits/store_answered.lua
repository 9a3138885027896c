-- Takes note, for all replicas, that the store answers again: a little of the rate comes back. Follows budget.lua.
--
-- ARGV[6]  how much of the rate comes back
--
-- Returns 1, or 0 for an answer that counts for nothing: it was asked for before the pause that we are in.

if paused_until > now then
  return 0
end
set_share(math.min(1, share + tonumber(ARGV[6])))
refusals = 0
keep()
return 1
