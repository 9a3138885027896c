## Asks the ownership gateway whether a player may enter.
## Godot 4, dedicated server; add it as an autoload.
extends Node

signal keep_waiting(verdict: Dictionary)

const PATIENCE_SECONDS := 5.0
const NO_ANSWER_WAIT_SECONDS := 2.0
const LONGEST_WAIT_SECONDS := 60.0
const NO_ANSWER := {"what": "later", "reason": "no_usable_answer", "wait": NO_ANSWER_WAIT_SECONDS}
const GATEWAY_URL := "^https?://([A-Za-z0-9_.-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?/?$"

## Put them into the words and languages of your game; a code that is not here has no sentence.
const ADVICE := {
	"open_game_once":
	(
		"If you bought a bundle: open the game's page on itch.io once, while you are logged in. "
		+ "Then try again in a minute."
	),
	"use_itch_login":
	(
		"Start the game from the itch.io app, or paste your download key: "
		+ "your purchase is not found by this address."
	),
	"copy_key_again":
	(
		"Copy the download link once more, from the e-mail of your purchase "
		+ "or from your library on itch.io."
	),
	"open_game_from_bundle":
	(
		"This is the link of a bundle: open the game from it, "
		+ "and paste the link that you find there."
	),
	"restart_from_app": "Start the game again from the itch.io app.",
	"open_redeem_link_again": "Open the link once more by which itch.io redeems your purchase.",
	"sign_in_again":
	(
		"Sign in once more: start the game from the itch.io app, "
		+ "or paste your download key."
	),
	"revoke_api_key":
	(
		"This is your personal API key, which gives away your account: "
		+ "revoke it in your settings on itch.io, and show it to no game."
	),
	"verify_address": "Verify your e-mail address first.",
	"try_again": "Your purchase cannot be checked at the moment. Try again in a minute.",
}

var gateway := OS.get_environment("GATEWAY")
var token := OS.get_environment("CALLER_TOKEN")


func _ready() -> void:
	if not OS.has_environment("GATEWAY"):
		gateway = "http://127.0.0.1:8080"
	var url := RegEx.create_from_string(GATEWAY_URL).search(gateway)
	var port := 1
	if url != null and url.get_string(2) != "":
		port = url.get_string(2).trim_prefix(":").to_int()
	if url == null or port < 1 or port > 65535:
		printerr("error: GATEWAY is no URL such as http://127.0.0.1:8080 or https://gateway.example")
		get_tree().quit(1)
	gateway = gateway.trim_suffix("/")


## What to do ("in", "out", "other credential", "later", "misconfigured"),
## why, and the seconds to wait; "advice" and "support_code" where the player is not let in.
func ask(path: String, question: Dictionary) -> Dictionary:
	var http := HTTPRequest.new()
	http.timeout = PATIENCE_SECONDS
	http.max_redirects = 0
	http.body_size_limit = 65536
	add_child(http)
	var headers := PackedStringArray(["Content-Type: application/json"])
	if token != "":
		headers.append("Authorization: Bearer " + token)
	if http.request(gateway + path, headers, HTTPClient.METHOD_POST, JSON.stringify(question)) != OK:
		http.queue_free()
		return NO_ANSWER
	var reply: Array = await http.request_completed  # result, status, headers, body
	http.queue_free()
	if reply[0] != HTTPRequest.RESULT_SUCCESS:
		return NO_ANSWER  # Refused, reset or timed out.
	var status: int = reply[1]
	var answer: Variant = JSON.parse_string(reply[3].get_string_from_utf8())
	if not answer is Dictionary:
		return NO_ANSWER

	if status == 200:
		return _verdict_of(answer)
	var code := str(answer.get("code", "status_%d" % status))
	if status == 429 or status >= 500:
		return _refusal("later", code, _seconds_in(answer), answer)
	return {"what": "misconfigured", "reason": code, "wait": LONGEST_WAIT_SECONDS}


## Keeps the player waiting for an answer; when the patience is over it is "later",
## and nothing is granted.
func may_enter(path: String, question: Dictionary, patience_seconds := 120.0) -> Dictionary:
	var give_up_at := Time.get_ticks_msec() / 1000.0 + patience_seconds
	while true:
		var verdict := await ask(path, question)
		# A quarter more, at random, so that players who wait together do not come back together.
		var wait: float = verdict["wait"] * randf_range(1.0, 1.25)
		if verdict["what"] != "later" or Time.get_ticks_msec() / 1000.0 + wait > give_up_at:
			return verdict
		keep_waiting.emit(verdict)
		await get_tree().create_timer(wait).timeout
	return NO_ANSWER


## What a 200 means; all that is not exactly as documented is no answer.
func _verdict_of(answer: Dictionary) -> Dictionary:
	var allowed: Variant = answer.get("allowed")
	var outcome := str(answer.get("outcome"))
	var reason := str(answer.get("reason"))
	if not allowed is bool:
		return NO_ANSWER
	if allowed and outcome in ["owned", "granted"]:
		return {"what": "in", "reason": reason, "wait": 0.0}
	if not allowed and outcome in ["not_owned", "banned"]:
		return _refusal("out", reason, 0.0, answer)
	if not allowed and outcome == "rejected":
		return _refusal("other credential", reason, 0.0, answer)
	return NO_ANSWER


## A verdict with what people are shown.
func _refusal(what: String, reason: String, wait: float, answer: Dictionary) -> Dictionary:
	var verdict := {"what": what, "reason": reason, "wait": wait}
	if answer.get("advice") is String:
		verdict["advice"] = answer.get("advice")
	if answer.get("decision_id") is String:
		verdict["support_code"] = answer.get("decision_id")
	return verdict


## What the player is shown who is not let in; empty if there is nothing to say.
func shown_to(verdict: Dictionary) -> String:
	var said := PackedStringArray()
	if verdict.get("advice", "") in ADVICE:
		said.append(ADVICE[verdict["advice"]])
	if "support_code" in verdict:
		said.append("Support code: " + verdict["support_code"])
	return " ".join(said)


## How long the gateway wants to be left alone, which is at least a second.
func _seconds_in(answer: Dictionary) -> float:
	var seconds: Variant = answer.get("retry_after_seconds")
	if not (seconds is float or seconds is int):
		return NO_ANSWER_WAIT_SECONDS
	return clampf(seconds, 1.0, LONGEST_WAIT_SECONDS)
