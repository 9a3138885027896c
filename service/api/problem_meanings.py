"""The meaning of each code that a problem can have, as `docs/api.md` has it and the page at `/docs` shows it."""

from collections.abc import Mapping
from typing import Final

PROBLEM_MEANINGS: Final[Mapping[str, str]] = {
    "unreadable_json": "the body is not JSON in UTF-8",
    "missing_field": "`pointer` names the field",
    "unknown_field": (
        "a field that this question does not have, such as a second credential. `detail` lists those that "
        "there are. `pointer` names it if it is a field of some other question, else the object that it is in"
    ),
    "wrong_type": "text for a number, null for text",
    "out_of_range": "a number or text outside its bounds; a batch of none or of more than 100; an unknown `method`",
    "malformed_email": "not one plain address",
    "duplicate_id": "two items of a batch have the same `id`",
    "too_many_subjects": (
        "an explanation names a decision and more, or two credentials; an invalidation or an override names "
        "more than one of `download_key`, `email` and `user_id`"
    ),
    "no_subject": "an override names none of them, an explanation neither a decision nor a credential",
    "key_not_granted": "an override grants a download key, which can only be banned",
    "unprintable_note": "the `note` of an override has line breaks or characters that cannot be seen",
    "no_revocation_guard": "`/admin/revocations` of a gateway with `revocation_guard = false`: there every no counts",
    "bad_request": (
        "the bytes are no acceptable HTTP: `Host` is missing or malformed, one of `Host`, `Authorization` and "
        "`Content-Type` is given twice, a limit of the head is passed"
    ),
    "not_authenticated": "no token, or not one of ours",
    "not_permitted": "`detail` says which right, or that it is the game",
    "unknown_game": 'not configured here. Never means "no key"',
    "unknown_channel": "the game has no such channel in the configuration",
    "unknown_decision": (
        "no refusal of this id is remembered: it was let in, is older than 72 hours, or was one of too many"
    ),
    "not_enabled": "this is off here; `detail` names the setting that turns it on",
    "unknown_override": "no override has this id, or it has ended or was taken back",
    "unknown_route": "nothing is at that path, or not on this port",
    "method_not_allowed": "the questions take `POST`; no path takes `CONNECT`",
    "request_timeout": "the request had not arrived 10 seconds after its first byte",
    "too_many_overrides": (
        "the game has 1000 overrides that hold; or, where no games are configured, 100 other games have some"
    ),
    "no_credential": "a player at a proxy without exactly one credential that the policy takes",
    "forward_auth_refused": "a proxy that is not known, or a policy that is not its own",
    "body_too_large": "larger than 16 KiB, or too much in its trailers or chunk extensions",
    "unsupported_media_type": "not `application/json` in UTF-8, or compressed",
    "too_many_questions": "over the caller's rate",
    "too_many_failed_keys": (
        "too many of the caller's download keys or JWTs were no good lately. Those that are known to be good "
        "are still answered"
    ),
    "too_many_challenges": (
        "as many codes were mailed lately as may be, to this address, for this player, or for the caller"
    ),
    "mail_unavailable": "the mail server has not taken the mail",
    "internal_error": "a bug; the log has it under the `request_id`",
    "unsupported_version": "a version of HTTP that is neither 1.1 nor 1.0",
}
"""By code, for those that are not reasons; in back-ticks what a program reads."""

REASON_MEANINGS: Final[Mapping[str, str]] = {
    "operator_ban": (
        "in `ban_user_ids`, as the player or as the owner of the key; in `ban_emails`; or by an override, "
        "whose end is `usable_until`"
    ),
    "invalid_download_key": "no such key, revoked, or another game's; itch.io does not tell which",
    "no_download_key": "itch.io shows nothing that counts for this player or address",
    "malformed_download_key": "cannot be a key",
    "temporary_download_link": "a signed link as free pages give out; it holds no key",
    "bundle_link": "the page of a bundle: its key is another kind",
    "malformed_jwt": "cannot be a JWT of itch.io's, or is empty",
    "expired_jwt": "its time is over",
    "refused_jwt": "itch.io refuses it, or it names another game or user than it is used for",
    "api_key_not_accepted": "looks like a personal API key. It was sent nowhere",
    "email_not_verified": "the proof proves no address, or another one",
    "malformed_pass": "cannot be a pass of this gateway's",
    "expired_pass": "its time is over",
    "refused_pass": "another game's or player's, signed with a key that is not published any more, or void",
    "shared_download_key": "as many other players as the game allows have shown this key; only where it limits them",
    "malformed_access_token": "cannot be an access token of itch.io",
    "refused_access_token": (
        "itch.io refuses it: taken back, without the scopes, or given to another creator's application"
    ),
    "source_unavailable": "itch.io cannot be reached, is broken, too slow, or shows a web page instead",
    "source_rate_limited": "itch.io throttles us, or this player alone",
    "source_protocol": "itch.io answered something that no decision can be built on",
    "gateway_credential": "itch.io refuses the gateway's own key",
    "game_not_accessible": "the gateway's key cannot see this game",
    "not_cached": "nothing recent enough is known and `only_if_cached` forbade asking",
    "deadline_exceeded": (
        "itch.io had not answered in your time, or had not been asked yet; a request under way goes on"
    ),
    "overloaded": "more is asked than the store budget allows in your time, or than the gateway can take on at once",
    "issuer_unavailable": "the keys that check the proof cannot be had",
}
"""By reason, for those that do not let a player in: a 503 has them as its code, and so has an answer to a proxy."""
