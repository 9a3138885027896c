-- Asks about one identity after the other. Arguments: token, mode, identities, first, start, game, extra.
--   cycle    each in turn
--   random   any of them
--   mix      nine of ten from the first 500, the tenth from all others in turn
--   batch    fifty at once, each in turn
-- Start is how many have been asked about already. Extra is put into each question as it is: nothing, or further fields.
-- Identity n has the download key "benchmark-key-" and n in 26 digits, see benchmarks/identities.py.
-- At the end prints one line of JSON, times in microseconds.

local HOT = 500
local BATCH = 50
local head, token, game, mode, identities, first, extra
local asked = 0
local batches = {}

local function key(n)
  return string.format("benchmark-key-%026d", first + n)
end

local function question(n)
  return '{"game":' .. game .. ',"download_key":"' .. key(n) .. '"' .. extra .. "}"
end

local function next_identity()
  asked = asked + 1
  if mode == "random" then
    return math.random(0, identities - 1)
  end
  if mode == "mix" then
    if asked % 10 == 0 then
      return HOT + asked / 10 % (identities - HOT)
    end
    return asked % HOT
  end
  return asked % identities
end

local function batch(number)
  local items = {}
  for i = 1, BATCH do
    local n = (number * BATCH + i - 1) % identities
    items[i] = '{"id":"' .. i .. '","method":"download_key","game":' .. game .. ',"download_key":"' .. key(n) .. '"' .. extra .. "}"
  end
  return '{"items":[' .. table.concat(items, ",") .. "]}"
end

local function head_for(path, length)
  return "POST " .. path .. " HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
    .. "Authorization: Bearer " .. token .. "\r\nContent-Length: " .. length .. "\r\n\r\n"
end

function init(arguments)
  token, mode, game = arguments[1], arguments[2], arguments[6]
  extra = arguments[7] or ""
  identities, first, asked = tonumber(arguments[3]), tonumber(arguments[4]), tonumber(arguments[5])
  math.randomseed(1)
  if mode == "batch" then
    for number = 0, math.ceil(identities / BATCH) - 1 do
      local body = batch(number)
      batches[number] = head_for("/verify/batch", #body) .. body
    end
  end
  head = head_for("/verify/download-key", #question(0))
end

function request()
  if mode == "batch" then
    asked = asked + 1
    return batches[asked % (#batches + 1)]
  end
  return head .. question(next_identity())
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"longest":%d,"bad_statuses":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
