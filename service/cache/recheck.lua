-- Puts the store's last answer about a proven owner beside those about others, and returns them all.
-- Follows own_hash.lua.
--
-- KEYS[1]  a hash of 80 slots, each with one sealed answer
-- ARGV[1]  the TTL of it all, in milliseconds
-- ARGV[2]  the sealed answer: 24 bytes of game and name, 8 bytes of microseconds, ...
-- ARGV[3]  the instant up to which none counts any more, ARGV[4] the latest believable one, in microseconds
--
-- Of one owner the latest answer is kept. Without room, the oldest gives way.
--
-- What is no answer is replaced.

local SLOTS, SIZE, NAME, INSTANT = 80, 49, 24, 32

local function instant(answer)
  local value = 0
  for position = NAME + 1, INSTANT do
    value = value * 256 + string.byte(answer, position)
  end
  return value
end

local key, ours = KEYS[1], ARGV[2]

local answers, same, free, oldest, oldest_at = {}, nil, nil, nil, nil
for slot = 0, SLOTS - 1 do
  local answer = held(slot, SIZE)
  local at = answer and #answer == SIZE and instant(answer)
  if not at or at <= tonumber(ARGV[3]) or at > tonumber(ARGV[4]) then
    free = free or slot
  else
    answers[#answers + 1] = answer
    if string.sub(answer, 1, NAME) == string.sub(ours, 1, NAME) then
      same = { slot = slot, at = at }
    elseif not oldest or at < oldest_at then
      oldest, oldest_at = slot, at
    end
  end
end

if not same or same.at <= instant(ours) then
  redis.call('HSET', key, same and same.slot or free or oldest, ours)
  redis.call('PEXPIRE', key, ARGV[1])
end
answers[#answers + 1] = ours
return answers
