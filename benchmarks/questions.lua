-- Asks about one identity after the other. Arguments: token, mode, identities, first, start, game, heads, extra.
--   cycle    each in turn
--   random   any of them
--   mix      nine of ten from the first 500, the tenth from all others in turn
--   batch    fifty at once, each in turn
-- Start is how many have been asked about already. Extra is put into each question as it is: nothing, or further fields.
-- Heads "own" gives each request an X-Request-ID and a traceparent of its own, as callers and meshes send them; "equal"
-- sends the same bytes of head each time.
-- Identity n has the download key "benchmark-key-" and n in 26 digits, see benchmarks/identities.py.
-- At the end prints one line of JSON, times in microseconds.

local HOT = 500
local BATCH = 50
local format = string.format
local token, game, mode, heads, identities, first, extra
local template
local asked = 0
local batches = {}

local function key(n)
  return format("benchmark-key-%026d", first + n)
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
  local own = ""
  if heads == "own" then
    own = "X-Request-ID: 6f1c8a52-0b7e-4d39-9c41-%012x\r\n"
      .. "traceparent: 00-4bf92f3577b34da6%016x-00f067aa%08x-01\r\n"
  end
  return "POST " .. path .. " HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
    .. "Authorization: Bearer " .. token .. "\r\n" .. own .. "Content-Length: " .. length .. "\r\n\r\n"
end

function init(arguments)
  token, mode, game, heads = arguments[1], arguments[2], arguments[6], arguments[7]
  extra = arguments[8] or ""
  identities, first, asked = tonumber(arguments[3]), tonumber(arguments[4]), tonumber(arguments[5])
  math.randomseed(1)
  if mode == "batch" then
    for number = 0, math.ceil(identities / BATCH) - 1 do
      local body = batch(number)
      batches[number] = head_for("/verify/batch", #body) .. body
    end
  end
  -- One format for each request: this side must stay cheaper than the cheapest server.
  local head, body = head_for("/verify/download-key", #question(0)), question(0)
  template = head .. body:gsub("benchmark%-key%-%d+", "benchmark-key-%%026d")
end

function request()
  if mode == "batch" then
    asked = asked + 1
    local whole = batches[asked % (#batches + 1)]
    return heads == "own" and format(whole, asked, asked, asked) or whole
  end
  local n = first + next_identity()
  if heads == "own" then
    return format(template, asked, asked, asked, n)
  end
  return format(template, n)
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"longest":%d,"bad_statuses":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
