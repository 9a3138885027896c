-- The far limit: nginx that answers by itself what others have put into Redis.
--
-- Done the way OpenResty's own documentation shows: one GET a question over pooled connections, a shared dictionary as
-- the first tier where nginx.conf has one, one buffered log line a question, one counter in shared memory. The question
-- is checked, and the answer has every field of the gateway's. It knows nothing of the store, which it could not ask:
-- what is in no cache is unknown. Nor has it what the gateway does beside: many callers with rights and rates, policy,
-- fingerprints and sealing in Redis, reads that travel together.

local cjson = require "cjson.safe"
local has_resty, redis = pcall(require, "resty.redis")
if not has_resty then
  redis = require "nginx.redis" -- the same, as Debian names it
end

local AUTHORIZATION = "Bearer " .. os.getenv "FAR_LIMIT_TOKEN"
local REDIS_PORT = tonumber(os.getenv "FAR_LIMIT_REDIS_PORT")
local REDIS_MILLISECONDS = 1000
local POOL_CONNECTIONS = 512
local POOL_IDLE_MILLISECONDS = 60000
local KEY_SHAPE = [[\A[A-Za-z0-9_-]{8,64}\z]]

local decisions = ngx.shared.decisions
local first_tier = ngx.shared.first_tier -- nil where nginx.conf has none
local null = cjson.null

local function reply(status, value)
  local body = cjson.encode(value)
  ngx.status = status
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function refuse(status, code)
  reply(status, { type = "about:blank", status = status, code = code })
end

-- Counts and logs a decision, and answers with it.
local function decide(status, answer)
  local var = ngx.var
  var.game, var.outcome, var.reason, var.tier = answer.game_id, answer.outcome, answer.reason, answer.cache
  decisions:incr(answer.outcome .. " " .. answer.cache, 1, 0)
  reply(status, answer)
end

-- Returns what Redis has under a name, or nil, or nil and why it said nothing.
local function read(name)
  local client = redis:new()
  client:set_timeout(REDIS_MILLISECONDS)
  local connected, connect_error = client:connect("127.0.0.1", REDIS_PORT)
  if not connected then
    return nil, connect_error
  end
  local value, get_error = client:get(name)
  if not value then
    client:close() -- what comes on it now would be the answer to this
    return nil, get_error
  end
  client:set_keepalive(POOL_IDLE_MILLISECONDS, POOL_CONNECTIONS)
  if value == ngx.null then
    return nil
  end
  return value
end

-- Returns what is known and the tier that knew it, or nil, "none" and the reason.
local function look_up(name)
  local value = first_tier and first_tier:get(name)
  if value then
    return cjson.decode(value), "memory"
  end
  local problem
  value, problem = read(name)
  if problem then
    ngx.log(ngx.ERR, "Redis: ", problem)
    return nil, "none", "redis_unavailable"
  end
  local known = value and cjson.decode(value)
  if not known then
    return nil, "none", "not_cached"
  end
  local fresh_seconds = known.fresh_until_epoch_seconds - ngx.time()
  if first_tier and fresh_seconds > 0 then
    first_tier:set(name, value, fresh_seconds)
  end
  return known, "redis"
end

local function unknown(question, reason)
  decide(503, {
    allowed = false,
    outcome = "unknown",
    reason = reason,
    game_id = question.game,
    method = "download_key",
    cache = "none",
    decision_id = ngx.var.request_id,
  })
end

local function is_question(question)
  return type(question) == "table"
    and type(question.game) == "number"
    and type(question.download_key) == "string"
    and ngx.re.find(question.download_key, KEY_SHAPE, "jo") ~= nil
end

local far_limit = {}

function far_limit.verify()
  if ngx.var.http_authorization ~= AUTHORIZATION then
    return refuse(401, "not_authenticated")
  end
  ngx.req.read_body()
  local question = cjson.decode(ngx.req.get_body_data() or "")
  if not is_question(question) then
    return refuse(400, "bad_question")
  end
  local known, tier, reason = look_up("far-limit:" .. question.game .. ":" .. question.download_key)
  if not known then
    return unknown(question, reason)
  end
  local owned = known.owned
  decide(200, {
    allowed = owned,
    outcome = owned and "owned" or "not_owned",
    reason = owned and "download_key" or "invalid_download_key",
    game_id = question.game,
    method = "download_key",
    player = owned and { id = known.player_id, username = null, display_name = null } or null,
    evidence = owned and { kind = "download_key", id = known.key_id, acquired_at = known.acquired_at } or null,
    observed_at = known.observed_at,
    fresh_until = known.fresh_until,
    usable_until = known.usable_until,
    stale = known.fresh_until_epoch_seconds < ngx.time(),
    cache = tier,
    caveats = { "sandbox" },
    decision_id = ngx.var.request_id,
  })
end

-- Named as the gateway's own counter, so that the benchmark sees where the answers came from in the same way.
function far_limit.metrics()
  ngx.say "# TYPE ownership_gateway_decisions_total counter"
  for _, name in ipairs(decisions:get_keys()) do
    local outcome, tier = name:match "^(%S+) (%S+)$"
    ngx.say(string.format(
      'ownership_gateway_decisions_total{outcome="%s",cache="%s"} %d', outcome, tier, decisions:get(name)))
  end
end

return far_limit
