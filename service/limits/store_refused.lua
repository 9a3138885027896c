-- Takes note, for all replicas, that the store throttled one of them: half the rate, and a pause. Follows budget.lua.
--
-- ARGV[8]  the pause that the store asked for in milliseconds, or -1 where it named none
-- ARGV[9]  the first pause of our own and ARGV[10] the longest, ARGV[11] a number from 0.5 to 1 that spreads them
--
-- Says -1 and the rest of the pause.

-- Requests that were under way when the pause began are part of the same refusal: they count once.
local pause = tonumber(ARGV[8])
if paused_until <= now then
  if pause < 0 then
    pause = math.min(tonumber(ARGV[9]) * 2 ^ refusals, tonumber(ARGV[10])) * tonumber(ARGV[11])
  end
  set_share(math.max(share / 2, smallest_share))
  refusals = math.min(refusals + 1, 8)
end
paused_until = math.max(paused_until, now + math.floor(math.min(pause, longest_pause)))
return keep(-1, math.max(0, paused_until - now))
