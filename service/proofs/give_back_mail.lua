-- Gives back the room for a mail that was not sent.
--
-- KEYS[1]  when mails were sent, as take_mail.lua has it
-- ARGV[1]  when this room was taken
-- ARGV[2]  the time for which the others are kept
-- ARGV[3]  the most bytes that are read
--
-- Returns 1 if it is given back, 0 if it was not there.

local there = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[3] - 1)
if type(there) == 'table' then
  return 0
end
local kept, found = {}, false
for word in string.gmatch(there, '%d+') do
  if word == ARGV[1] and not found then
    found = true
  else
    kept[#kept + 1] = word
  end
end
if not found then
  return 0
end
if #kept == 0 then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], table.concat(kept, ','), 'PX', ARGV[2])
end
return 1
