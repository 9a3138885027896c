-- Takes note, for all replicas, that the store throttled one of them: half the rate, and a pause.
--
-- KEYS[1]  the budget
-- ARGV[1]  the pause that the store asked for in milliseconds, or -1 where it named none
-- ARGV[2]  a number from 0.5 to 1 that spreads a pause of our own
-- ARGV[3]  the smallest share, ARGV[4] the first pause of our own and ARGV[5] the longest, ARGV[6] the longest of all
--
-- Returns the milliseconds left of the pause.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'share', 'paused_until', 'refusals')
local share = tonumber(known[1]) or 1
local paused_until = tonumber(known[2]) or 0
local refusals = tonumber(known[3]) or 0

-- What was under way when the pause began is part of the same refusal: it counts once.
local pause = tonumber(ARGV[1])
if paused_until <= now then
  if pause < 0 then
    pause = math.min(tonumber(ARGV[4]) * 2 ^ refusals, tonumber(ARGV[5])) * tonumber(ARGV[2])
  end
  share = math.max(share / 2, tonumber(ARGV[3]))
  refusals = math.min(refusals + 1, 8)
end
pause = math.floor(math.min(pause, tonumber(ARGV[6])))
paused_until = math.max(paused_until, now + pause)
redis.call('HSET', KEYS[1], 'share', tostring(share), 'paused_until', paused_until, 'refusals', refusals)
redis.call('PEXPIRE', KEYS[1], 600000)
return math.min(paused_until - now, tonumber(ARGV[6]))
