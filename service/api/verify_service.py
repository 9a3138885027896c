"""The service of `/verify`: from a question to a reply, counted and logged in this one place."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from service.api.answers import AnswerWriter, PassBody
from service.api.callers import Caller
from service.api.game_directory import GameDirectory
from service.api.identifiers import make_ulid
from service.api.problems import cause_of, refusal_reply, status_reply
from service.api.questions import AnyQuestionBody, DownloadKeyQuestion, EmailQuestion, PassQuestion
from service.errors import BadQuestion, NotEnabled, QuestionRefused
from service.http.reply import Reply
from service.key_use import KeyUse
from service.observability.labels import BugPlace, RefusalCause
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.observability.verified_lines import VerifiedLine
from service.ownership import AssertedUser, CacheTier, Credential, Decision, Malformed, Method, Outcome, VerifiedEmail
from service.rights import RIGHTS_FOR
from service.secret import Secret
from service.verification.interfaces import Clock, Fingerprints
from service.verification.policy import GameRules, KeyLimit
from service.verification.question import Question, Verdict, Verifier


class Asking(Struct, frozen=True):
    """The games as they are configured for it, its caller, the request that it came in, and when that had arrived.

    A question of a proxy has a `policy`, and a `writer` of its own.
    """

    games: GameDirectory
    caller: Caller
    request_id: str
    trace_id: str | None
    asked_at: datetime
    policy: str | None = None
    writer: "ReplyWriter | None" = None


class ReplyWriter(Protocol):
    """Makes the reply of a verdict."""

    def reply(self, verdict: Verdict, *, now: datetime, decision_id: str, request_id: str) -> Reply:
        """Return the reply; `now` is when the verdict was given."""


class OpenedPass(Protocol):
    """A pass that was shown in a question: what it amounts to as a credential, and who decides about it."""

    @property
    def credential(self) -> Credential | Malformed:
        """The credential."""

    @property
    def subject(self) -> str | None:
        """The name for the log of whose it is, None if no gateway with our keys has signed it."""

    @property
    def account(self) -> str | None:
        """The name of the itch.io account for the log, None if it is not one's."""

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question with that credential."""


class Passes(Protocol):
    """Opens passes."""

    def open(self, text: str, rules: GameRules, *, player_ref: str | None) -> OpenedPass:
        """Return what there is in a pass that is shown for a game."""


class Proofs(Protocol):
    """Opens proofs of an address."""

    def open(self, proof: str, *, nonce: str | None, address: VerifiedEmail | None) -> OpenedPass:
        """Return a proof that is shown; `address` is the one that it has to prove, None for any."""


class KeyJudge(Protocol):
    """Applies the limits for the players of download keys."""

    async def judge(
        self, verdict: Verdict, question: Question, player_ref: str | None, *, within: timedelta
    ) -> tuple[Verdict, KeyUse | None]:
        """Return the verdict on the player who has shown the key, and the use of the key that this was."""


class PassIssue(Protocol):
    """Makes the pass that a caller asked for with its question."""

    def __call__(
        self, question: Question, decision: Decision, opened: OpenedPass | None, *, decision_id: str, now: datetime
    ) -> PassBody | None:
        """Return the pass, None if there is none for that decision."""


class RefusalNotes(Protocol):
    """Remembers refusals for those who support players."""

    def note(
        self,
        decision: Decision,
        decision_id: str,
        *,
        caller: str,
        cache: CacheTier,
        subject: str,
        account: str | None,
        now: datetime,
    ) -> None:
        """Remember that a question was refused; returns at once."""


# Looking up a member of an enum takes Python 3.11 longer than comparing it.
_OWNED: Final = Outcome.OWNED
_GRANTED: Final = Outcome.GRANTED


class VerifyService:
    """Answers questions, whether they come alone or in a batch. `refusals` is None where none are remembered."""

    def __init__(
        self,
        *,
        verification: Verifier,
        fingerprints: Fingerprints,
        writer: AnswerWriter,
        metrics: Metrics,
        log: Logging,
        clock: Clock,
        default_deadline: timedelta,
        key_sharing: Callable[[], KeyJudge],
        refusals: RefusalNotes | None = None,
        passes: Passes | None = None,
        access_tokens: bool = False,
        proofs: Proofs | None = None,
    ) -> None:
        self._verification = verification
        self._fingerprints = fingerprints
        self._writer = writer
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._default_deadline = default_deadline
        self._key_sharing = key_sharing
        self._refusals = refusals
        self._passes = passes
        self._access_tokens = access_tokens
        self._proofs = proofs

    async def answer(
        self, asked: AnyQuestionBody, asking: Asking, *, at: str = "", issue: PassIssue | None = None
    ) -> Reply:
        """Return the answer to a question whose caller has the right to ask it; `at` points to it in the body.

        With `issue` the answer has a pass. Raises `QuestionRefused` when the caller is at fault.
        """
        started = self._clock.monotonic()
        question, opened = self._question(asked, asking, at)
        if opened is None:
            verdict = await self._verification.verify(question)
        else:
            verdict = await opened.verify(question)
            question = replace(question, credential=opened.credential)  # a proof has shown it only now
        key_use = None
        if question.rules.key_limit is not None and isinstance(asked, DownloadKeyQuestion):
            within = question.deadline - timedelta(seconds=self._clock.monotonic() - started)
            verdict, key_use = await self._key_sharing().judge(verdict, question, asked.player_ref, within=within)
        now = self._clock.now()
        decision_id = make_ulid(now)
        issued = None
        if issue is not None:
            issued = issue(question, verdict.decision, opened, decision_id=decision_id, now=now)
        self._record(
            question,
            asking,
            verdict,
            opened=opened,
            seconds=self._clock.monotonic() - started,
            now=now,
            decision_id=decision_id,
            pass_until=None if issued is None else issued.expires_at,
            key_use=key_use,
        )
        writer = asking.writer or self._writer
        reply = writer.reply(verdict, now=now, decision_id=decision_id, request_id=asking.request_id)
        return reply if issue is None else self._writer.with_pass(reply, issued)

    def refuse(self, refusal: QuestionRefused, *, request_id: str, caller: Caller | None) -> Reply:
        """Count and log a question that was turned away, and return the reply to its caller."""
        cause = cause_of(refusal)
        self._metrics.refused(cause)
        name = None if caller is None else caller.name
        self._log.logger.info("refused", cause=cause, why=str(refusal), caller=name, request_id=request_id)
        return refusal_reply(refusal, request_id=request_id)

    def count_refused(self, cause: RefusalCause) -> None:
        """Count a request that was turned away without a line in the log: a flood of lines would make it worse."""
        self._metrics.refused(cause)

    def crashed(self, bug: BaseException, *, request_id: str) -> Reply:
        """Count and log an exception that no question should ever raise, and return the reply to its caller."""
        self._metrics.bug(BugPlace.REQUEST)
        self._log.logger.error("bug", request_id=request_id, exc_info=bug)
        return status_reply(500, request_id=request_id)

    def _question(self, asked: AnyQuestionBody, asking: Asking, at: str) -> tuple[Question, OpenedPass | None]:
        rules = asking.games.find(asked.game)
        caller = asking.caller
        caller.require_game(rules.game_id)
        opened: OpenedPass | None = None
        player_ref: str | None = None
        if isinstance(asked, PassQuestion):
            opened = self._open(asked, rules)
            credential, player_ref = opened.credential, asked.player_ref
        elif isinstance(asked, EmailQuestion) and asked.proof is not None:
            opened = self._open_proof(asked, asked.proof, at)
            credential = opened.credential
        else:
            caller.require(*RIGHTS_FOR[asked.asked_by])
            credential = asked.credential(at)
            if not self._access_tokens and credential.method is Method.ACCESS_TOKEN:
                raise NotEnabled("itch.access_tokens")
            if isinstance(asked, DownloadKeyQuestion):
                player_ref = asked.player_ref
                if rules.key_limit is not None:
                    _require_player(asked, rules.key_limit, at)
        question = Question(
            rules=rules,
            credential=credential,
            deadline=self._default_deadline if asked.deadline_ms is None else timedelta(milliseconds=asked.deadline_ms),
            max_age=None if asked.max_age is None else timedelta(seconds=asked.max_age),
            only_if_cached=asked.only_if_cached,
            asked_at=asking.asked_at,
            caller=caller.name,
            tries=None if caller.limits is None else caller.limits.tries,
            player_ref=player_ref,
        )
        return question, opened

    def _open(self, asked: PassQuestion, rules: GameRules) -> OpenedPass:
        if self._passes is None:
            raise NotEnabled("passes.key_file")
        return self._passes.open(asked.shown.reveal(), rules, player_ref=asked.player_ref)

    def _open_proof(self, asked: EmailQuestion, proof: Secret, at: str) -> OpenedPass:
        if self._proofs is None:
            raise NotEnabled("[[oidc]] or mail.url")
        nonce = None if asked.nonce is None else asked.nonce.reveal()
        return self._proofs.open(proof.reveal(), nonce=nonce, address=asked.address(at))

    def _record(
        self,
        question: Question,
        asking: Asking,
        verdict: Verdict,
        *,
        opened: OpenedPass | None,
        seconds: float,
        now: datetime,
        decision_id: str,
        pass_until: datetime | None,
        key_use: KeyUse | None,
    ) -> None:
        decision, credential, label = verdict.decision, question.credential, question.rules.label
        self._metrics.decision(
            label, decision.method, decision.reason, verdict.cache, seconds=seconds, stale=decision.stale
        )
        age = None if decision.observed_at is None else now - decision.observed_at
        caller, outcome, player = asking.caller.name, decision.outcome, decision.player
        account: str | None
        if opened is not None:
            subject, account = opened.subject, opened.account
        else:
            subject = None if isinstance(credential, Malformed) else self._fingerprints.of_credential(credential)
            if player is not None:
                account = self._fingerprints.of_account(player.id)
            else:  # a decision without an answer names no player
                account = subject if isinstance(credential, AssertedUser) else None
        line = VerifiedLine(
            decision_id=decision_id,
            request_id=asking.request_id,
            trace_id=asking.trace_id,
            caller=caller,
            game=label,
            method=decision.method,
            outcome=outcome,
            reason=decision.reason,
            cache=verdict.cache,
            age_seconds=None if age is None else round(age.total_seconds(), 3),
            duration_ms=round(seconds * 1000, 3),
            subject=subject,
            account=account,
            pass_until=pass_until,
            key_players=key_use,
            policy=asking.policy,
        )
        self._log.verified(line, now)
        if self._refusals is None or subject is None or outcome is _OWNED or outcome is _GRANTED:
            return
        self._refusals.note(
            decision,
            decision_id,
            caller=caller,
            cache=verdict.cache,
            subject=subject,
            account=account,
            now=now,
        )


def _require_player(asked: DownloadKeyQuestion, limit: KeyLimit, at: str) -> None:
    """Raise `BadQuestion` for a key without its player, where too many players would be turned away."""
    if limit.reject and asked.player_ref is None:
        raise BadQuestion(f"{at}/player_ref", "missing_field", "this game limits the players of a download key")
