## Checks the passes on standard input: `now TAB refresh`, or `now TAB admit TAB player TAB pass`,
## the last two in base64.
extends SceneTree

var clock := 0.0


func _initialize() -> void:
	var arguments := OS.get_cmdline_user_args()
	var verifier: Node = load("res://pass_verifier.gd").new()
	root.add_child(verifier)
	verifier.setup(arguments[0], arguments[1], arguments[2])
	verifier.now = func() -> float: return clock
	await process_frame
	while true:
		var words := OS.read_string_from_stdin(1 << 16).rstrip("\n").split("\t")
		if words.size() < 2:
			break
		clock = words[0].to_float()
		# Waiting for the line has held up the frames: the next one is as long, and would end a request that is new.
		for _frame in 3:
			await process_frame
		if words[1] == "refresh":
			var failed: PackedStringArray = await verifier.refresh()
			print("refreshed ", failed.size())
			continue
		# A string of Godot's ends before a NUL, so that no verifier can see one: it gets a character that is none.
		var raw := Marshalls.base64_to_raw(words[3])
		if 0 in raw:
			raw[raw.find(0)] = 1
		var text := raw.get_string_from_utf8()
		var player := Marshalls.base64_to_utf8(words[2]) if words[2] != "" else ""
		var verdict: Dictionary = await verifier.admit(text, player)
		print(verdict["what"], " ", verdict["reason"], " ", verdict["claims"].get("sub", ""))
	quit()
