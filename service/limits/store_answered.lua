-- Takes note, for all replicas, that the store answers again: a little of the rate comes back.
--
-- KEYS[1]  the budget
-- ARGV[1]  how much of the rate comes back
--
-- Returns the share of the rate that may be used now, in thousandths.

local share = tonumber(redis.call('HGET', KEYS[1], 'share')) or 1
share = math.min(1, share + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'share', tostring(share), 'refusals', 0)
redis.call('PEXPIRE', KEYS[1], 600000)
return math.floor(share * 1000)
