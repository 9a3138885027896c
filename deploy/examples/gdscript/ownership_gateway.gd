## Asks the ownership gateway whether a player may enter.
## Godot 4, dedicated server; add it as an autoload.
extends Node

signal keep_waiting(reason: String, seconds: float)

const PATIENCE_SECONDS := 5.0
const NO_ANSWER_WAIT_SECONDS := 2.0
const LONGEST_WAIT_SECONDS := 60.0
const NO_ANSWER := {"what": "later", "reason": "no_usable_answer", "wait": NO_ANSWER_WAIT_SECONDS}

var gateway := "http://127.0.0.1:8080"
var token := OS.get_environment("CALLER_TOKEN")


## What to do ("in", "out", "other credential", "later", "misconfigured"),
## why, and the seconds to wait.
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
		return {"what": "later", "reason": code, "wait": _seconds_in(answer)}
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
		keep_waiting.emit(verdict["reason"], wait)
		await get_tree().create_timer(wait).timeout
	return NO_ANSWER


## What a 200 means; whatever is not exactly as documented is no answer.
func _verdict_of(answer: Dictionary) -> Dictionary:
	var allowed: Variant = answer.get("allowed")
	var outcome := str(answer.get("outcome"))
	var reason := str(answer.get("reason"))
	if not allowed is bool:
		return NO_ANSWER
	if allowed and outcome in ["owned", "granted"]:
		return {"what": "in", "reason": reason, "wait": 0.0}
	if not allowed and outcome in ["not_owned", "banned"]:
		return {"what": "out", "reason": reason, "wait": 0.0}
	if not allowed and outcome == "rejected":
		return {"what": "other credential", "reason": reason, "wait": 0.0}
	return NO_ANSWER


## How long the gateway wants to be left alone, which is at least a second.
func _seconds_in(answer: Dictionary) -> float:
	var seconds: Variant = answer.get("retry_after_seconds")
	if not (seconds is float or seconds is int):
		return NO_ANSWER_WAIT_SECONDS
	return clampf(seconds, 1.0, LONGEST_WAIT_SECONDS)
