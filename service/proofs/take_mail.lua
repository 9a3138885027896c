-- Takes room for one mail, if there is some.
--
-- KEYS[1]  when mails were sent, in milliseconds since 1970, with commas between
-- ARGV[1]  now
-- ARGV[2]  the time for which they are kept
-- ARGV[3]  the most bytes that are read: ours are never so long
-- ARGV[4…] windows, each with the most mails in it
--
-- Returns 0 if there was room, else the milliseconds until there is some.

local now, keep = tonumber(ARGV[1]), tonumber(ARGV[2])
local there = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[3] - 1)
if type(there) == 'table' then
  -- A value of another type is not ours, and SET would free it while all wait. Any other error goes to the caller.
  if not string.find(there.err, '^WRONGTYPE') then
    return there
  end
  redis.call('UNLINK', KEYS[1])
  there = ''
end
local sent = {}
for word in string.gmatch(there, '%d+') do
  local at = tonumber(word)
  -- Replicas have one clock, that of Redis; what is a minute ahead of it was not written by us.
  if at > now - keep and at <= now + 60000 then
    sent[#sent + 1] = at
  end
end
table.sort(sent)
local wait = 0
for i = 4, #ARGV, 2 do
  local window, most = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local oldest = sent[#sent - most + 1]
  if oldest and oldest > now - window then
    wait = math.max(wait, oldest + window - now)
  end
end
if wait > 0 then
  return wait
end
sent[#sent + 1] = now
for i, at in ipairs(sent) do
  sent[i] = string.format('%.0f', at)
end
redis.call('SET', KEYS[1], table.concat(sent, ','), 'PX', ARGV[2])
return 0
