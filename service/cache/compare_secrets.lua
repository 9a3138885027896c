-- Tells which secrets a replica uses, as a digest, and returns those that the replicas at this Redis use.
--
-- KEYS[1]  the digests, a text: in each line a digest, `=`, and Redis' time in milliseconds at which it was last told
-- ARGV[1]  our digest; empty for one who only looks
-- ARGV[2]  the time after which a digest that is not told again no longer counts, in milliseconds
-- ARGV[3]  the most bytes that are read: a longer text is not ours alone
--
-- Returns the digests, without ours if no other replica has told it either.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local told = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[3] - 1)
if type(told) == 'table' then
  -- A value of another type is not ours, and SET would free it while all wait. Any other error goes to the caller.
  if not string.find(told.err, '^WRONGTYPE') then
    return told
  end
  redis.call('UNLINK', KEYS[1])
  told = ''
end
local in_use, text = {}, ARGV[1] .. '=' .. now .. '\n'
for digest, at in string.gmatch(told, '(%x+)=(%d+)\n') do
  if tonumber(at) <= now and tonumber(at) > now - ARGV[2] then
    in_use[#in_use + 1] = digest
    if digest ~= ARGV[1] then
      text = text .. digest .. '=' .. at .. '\n'
    end
  end
end
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], text, 'PX', ARGV[2])
end
return in_use
