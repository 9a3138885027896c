-- Tells the other replicas what came of a turn.
--
-- KEYS[1]  the hash of take_canary_turn.lua
-- ARGV[1]  the name of the canary
-- ARGV[2]  the sealed answer, empty if the store gave no usable one
-- ARGV[3]  the TTL of it all, in milliseconds

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 't:' .. ARGV[1], string.format('%.0f', now))
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'o:' .. ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
