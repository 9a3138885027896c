-- Tells which secrets a replica uses, as a digest, and returns those that the replicas at this Redis use.
--
-- KEYS[1]  the digests, a hash: each with the time of Redis at which a replica last told it, in milliseconds
-- ARGV[1]  our digest; empty for one who only looks
-- ARGV[2]  the time after which a digest that is not told again no longer counts, in milliseconds
-- ARGV[3]  the most digests that are returned, ARGV[4] the most characters of one
--
-- Returns the digests, without ours if no other replica has told it either. Everything else there is deleted.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local told = redis.pcall('HGETALL', KEYS[1])
if told.err then
  if not string.find(told.err, '^WRONGTYPE') then
    return told
  end
  redis.call('DEL', KEYS[1])
  told = {}
end
local in_use = {}
for i = 1, #told, 2 do
  local at = tonumber(told[i + 1])
  if at and at <= now and at > now - ARGV[2] and #told[i] <= tonumber(ARGV[4]) and #in_use < tonumber(ARGV[3]) then
    in_use[#in_use + 1] = told[i]
  else
    redis.call('HDEL', KEYS[1], told[i])
  end
end
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], now)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return in_use
