## Checks passes of the ownership gateway without asking it.
## Godot 4; add it to the tree of your dedicated server, and call `setup`.
##
## It goes on with the keys and the list that were fetched last, however long ago: passes are short.
class_name PassVerifier
extends Node

const ALG := "RS256"
const TYP := "ownership-pass+jwt"
const FORM := "^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\z"
const SUBJECT := "^(itch:[1-9][0-9]{0,15}|(key|email):[A-Za-z0-9_-]{12})\\z"
const LETS_IN := {
	"owned": ["download_key", "purchase", "bundle_purchase", "web_purchase"],
	"granted": ["seller_account", "operator_grant", "press"],
}
const ALWAYS := [
	"iss", "aud", "sub", "iat", "exp", "jti", "game", "outcome", "reason", "method", "handles"
]
const SOMETIMES := ["observed_at", "fresh_until", "usable_until", "evidence", "player_ref"]
const LONGEST_PASS := 2048
const SMALLEST_KEY_BYTES := 256
const AHEAD_SECONDS := 60.0
const LIST_EVERY_SECONDS := 30.0
const KEYS_EVERY_SECONDS := 300.0
const KEYS_AGAIN_SECONDS := 60.0
const PATIENCE_SECONDS := 5.0
const LONGEST_ANSWER_BYTES := 8 * 1024 * 1024

var gateway := ""
var issuer := ""
var audience := ""
var game := 0
## Returns seconds since 1970.
var now := func() -> float: return Time.get_unix_time_from_system()

var _form := RegEx.create_from_string(FORM)
var _subject := RegEx.create_from_string(SUBJECT)
var _keys := {}
var _void_before := {}
var _keys_asked_at := -INF
var _list_asked_at := -INF
var _missed_key := false


## `its_issuer` is the gateway's `passes.issuer`, `our_audience` is `game:3/server-42`
## for passes for this server alone, or `game:3`. Then call `refresh` every few seconds.
func setup(address: String, its_issuer: String, our_audience: String) -> void:
	gateway = address.trim_suffix("/")
	issuer = its_issuer
	audience = our_audience
	game = our_audience.trim_prefix("game:").get_slice("/", 0).to_int()


## Checks a pass; if its key is not known, has the keys fetched, at most once a minute,
## and checks it again.
func admit(text: String, player_ref := "") -> Dictionary:
	var verdict := check(text, player_ref)
	if not verdict["reason"] in ["unknown_key", "no_keys"]:
		return verdict
	await refresh()
	return check(text, player_ref)


## Checks a pass with what is here: "what" to do with the player ("in", "out", or "later" where
## no key was ever had), the "reason", and the "claims" of one that is in.
## `player_ref` is who is there, by the name that the lobby gave.
func check(text: String, player_ref := "") -> Dictionary:
	var parts := text.split(".")
	var kid: Variant = _kid_of(text, parts)
	if kid == null:
		return _out("malformed_pass")
	if _keys.is_empty():
		return {"what": "later", "reason": "no_keys", "claims": {}}
	if not kid in _keys:
		_missed_key = true
		return _out("unknown_key")
	if not _is_signed(parts[0] + "." + parts[1], _decode(parts[2]), _keys[kid]):
		return _out("wrong_signature")
	var claims := _object_in(_decode(parts[1]))
	var fault := _fault_in(claims, player_ref)
	return _out(fault) if fault != "" else {"what": "in", "reason": "pass", "claims": claims}


## Whether a pass is in the list: ask again, after `refresh`, about those who are in.
func is_void(claims: Dictionary) -> bool:
	var decided_at: float = claims.get("observed_at", claims["iat"])
	for handle: String in claims["handles"]:
		if _void_before.get(handle, decided_at) > decided_at:
			return true
	return false


## Fetches what is due; returns what could not be fetched, for the log.
## What was fetched before then stays.
func refresh() -> PackedStringArray:
	var failed := PackedStringArray()
	var instant: float = now.call()
	var keys_after := KEYS_EVERY_SECONDS
	if _missed_key or _keys.is_empty():
		keys_after = KEYS_AGAIN_SECONDS
	# By the distance, so that a clock that is set back does not stop it.
	if absf(instant - _keys_asked_at) >= keys_after:
		_keys_asked_at = instant
		_missed_key = false
		if not _take_keys(await _fetch("/.well-known/jwks.json")):
			failed.append("/.well-known/jwks.json")
	if absf(instant - _list_asked_at) >= LIST_EVERY_SECONDS:
		_list_asked_at = instant
		if not _take_list(await _fetch("/passes/invalidated")):
			failed.append("/passes/invalidated")
	return failed


## The name of the key of what has the form and the header of a pass; null for all else.
func _kid_of(text: String, parts: PackedStringArray) -> Variant:
	if text.length() > LONGEST_PASS or _form.search(text) == null:
		return null
	for part in parts:
		if not _is_canonical(part):
			return null
	var header := _object_in(_decode(parts[0]))
	if not _same(header.get("alg"), ALG) or not _same(header.get("typ"), TYP):
		return null
	return header["kid"] if header.size() == 3 and _is_text(header.get("kid")) else null


## Why claims that the gateway has signed let nobody in here; empty if they do.
func _fault_in(claims: Dictionary, player_ref: String) -> String:
	var checks := [
		[_same(claims.get("iss"), issuer), "other_issuer"],
		[_same(claims.get("aud"), audience), "other_audience"],
		[_is_whole(claims.get("game")) and claims["game"] == game, "other_game"],
		[_is_pass(claims), "no_pass"],
	]
	for one: Array in checks:
		if not one[0]:
			return one[1]
	if claims["exp"] <= now.call():
		return "expired_pass"
	if claims["iat"] > now.call() + AHEAD_SECONDS:
		return "pass_of_the_future"
	if "player_ref" in claims and not _same(claims["player_ref"], player_ref):
		return "other_player"
	return "void_pass" if is_void(claims) else ""


## Whether there are the claims of a pass, and no others:
## the same key might sign another kind of token one day.
func _is_pass(claims: Dictionary) -> bool:
	if not claims.has_all(ALWAYS):
		return false
	for name: String in claims:
		if not name in ALWAYS and not name in SOMETIMES:
			return false
	if not claims["handles"] is Array or claims["handles"].is_empty():
		return false
	return (
		_is_text(claims["sub"])
		and _subject.search(claims["sub"]) != null
		and _is_whole(claims["iat"])
		and _is_whole(claims["exp"])
		and (not "observed_at" in claims or _is_number(claims["observed_at"]))
		and _is_text(claims["outcome"])
		and claims["reason"] in LETS_IN.get(claims["outcome"], [])
		and claims["handles"].all(_is_text)
	)


## RS256, whatever the header says.
func _is_signed(text: String, signature: PackedByteArray, key: CryptoKey) -> bool:
	var hashed := text.to_ascii_buffer()
	var hashing := HashingContext.new()
	hashing.start(HashingContext.HASH_SHA256)
	hashing.update(hashed)
	return Crypto.new().verify(HashingContext.HASH_SHA256, hashing.finish(), signature, key)


## The body of a 200, empty if there is none.
func _fetch(path: String) -> PackedByteArray:
	var http := HTTPRequest.new()
	http.timeout = PATIENCE_SECONDS
	http.max_redirects = 0
	http.body_size_limit = LONGEST_ANSWER_BYTES
	add_child(http)
	var body := PackedByteArray()
	if http.request(gateway + path) == OK:
		var reply: Array = await http.request_completed  # result, status, headers, body
		if reply[0] == HTTPRequest.RESULT_SUCCESS and reply[1] == 200:
			body = reply[3]
	http.queue_free()
	return body


func _take_keys(body: PackedByteArray) -> bool:
	var found := {}
	var listed: Variant = _object_in(body).get("keys")
	if not listed is Array:
		return false
	for jwk: Variant in listed:
		if not jwk is Dictionary or not _same(jwk.get("kty"), "RSA") or not _same(jwk.get("alg"), ALG):
			continue
		for name: String in ["kid", "n", "e"]:
			if not _is_text(jwk.get(name)):
				return false
		var modulus := _decode(jwk["n"])
		var key := CryptoKey.new()
		if modulus.size() < SMALLEST_KEY_BYTES:
			return false
		if key.load_from_string(_pem(modulus, _decode(jwk["e"])), true) != OK:
			return false
		found[jwk["kid"]] = key
	if found.is_empty():
		return false
	_keys = found
	return true


func _take_list(body: PackedByteArray) -> bool:
	var before: Variant = _object_in(body).get("before")
	if not before is Dictionary or not before.values().all(_is_number):
		return false
	_void_before = before
	return true


## A public key as Godot reads it (RFC 8017 A.1.1, in PEM).
func _pem(modulus: PackedByteArray, exponent: PackedByteArray) -> String:
	var key := _der(0x30, _der(0x02, _positive(modulus)) + _der(0x02, _positive(exponent)))
	return (
		"-----BEGIN RSA PUBLIC KEY-----\n%s\n-----END RSA PUBLIC KEY-----\n"
		% Marshalls.raw_to_base64(key)
	)


func _positive(number: PackedByteArray) -> PackedByteArray:
	return PackedByteArray([0]) + number if number[0] & 0x80 else number


func _der(tag: int, content: PackedByteArray) -> PackedByteArray:
	var size := content.size()
	if size < 0x80:
		return PackedByteArray([tag, size]) + content
	return PackedByteArray([tag, 0x82, size >> 8, size & 0xff]) + content


func _out(reason: String) -> Dictionary:
	return {"what": "out", "reason": reason, "claims": {}}


func _decode(part: String) -> PackedByteArray:
	var padded := part.replace("-", "+").replace("_", "/") + "=".repeat((4 - part.length() % 4) % 4)
	return Marshalls.base64_to_raw(padded)


## Whether it is base64url in its one spelling: others decode to the same bytes.
func _is_canonical(part: String) -> bool:
	if part.length() % 4 == 1:
		return false
	var spelt := Marshalls.raw_to_base64(_decode(part)).replace("+", "-").replace("/", "_")
	return spelt.rstrip("=") == part


## The JSON object in these bytes, empty if there is none.
func _object_in(utf8: PackedByteArray) -> Dictionary:
	var json := JSON.new()
	if json.parse(utf8.get_string_from_utf8()) != OK or not json.data is Dictionary:
		return {}
	return json.data


# Godot compares values of different types with an error, so that types come first.
func _same(value: Variant, text: String) -> bool:
	return value is String and value == text


func _is_text(value: Variant) -> bool:
	return value is String


func _is_number(value: Variant) -> bool:
	return value is int or (value is float and is_finite(value))


func _is_whole(value: Variant) -> bool:
	return _is_number(value) and value == floor(value)
