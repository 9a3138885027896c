"""The services behind the API: verification, and what counts, logs and answers around it."""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from service.api.admin import AdminService
from service.api.answers import AnswerWriter
from service.api.batch import BatchService
from service.api.explain import ExplainService
from service.api.operations import Readiness
from service.api.overrides import OverrideService
from service.api.player_records import PlayerRecords
from service.api.standing_word import StandingWords
from service.api.verify_service import VerifyService
from service.cache.keys import KeyedFingerprints
from service.ownership import Observation
from service.redis.connect import RedisClient
from service.verification.lookup import LookUps
from service.verification.singleflight import SingleFlight
from service.verification.verify import Verification
from service.wiring.basics import Basics
from service.wiring.key_players import key_sharing_of
from service.wiring.observations import Observations
from service.wiring.refusals import open_refusals
from service.wiring.upstream import Upstream

if TYPE_CHECKING:
    from service.proofs.challenges import Challenges
    from service.sandbox.state import Sandbox
    from service.wiring.pass_parts import PassParts


class Services(Struct, frozen=True):
    """One service for each kind of request."""

    verify: VerifyService
    batch: BatchService
    admin: AdminService
    overrides: OverrideService
    explain: ExplainService
    passes: "PassParts | None"
    challenges: "Challenges | None"
    fingerprints: KeyedFingerprints
    forget_failures: Callable[[], None]


def build_services(
    basics: Basics,
    upstream: Upstream,
    observations: Observations,
    flights: SingleFlight[Observation],
    *,
    redis: RedisClient | None,
    readiness: Readiness,
    sandbox: "Sandbox | None" = None,
) -> Services:
    """Return the services; `flights` are the look-ups that equal questions share, `sandbox` is that of this gateway."""
    settings, clock = basics.settings, basics.shared_clock
    fingerprints = KeyedFingerprints(basics.keys.naming, upstream.address.environment)
    look_ups = LookUps(
        source=upstream.source,
        observations=observations.cache,
        queue=upstream.queue,
        fingerprints=fingerprints,
        flights=flights,
        clock=clock,
        lease=observations.lease,
        invalidations=observations.invalidations,
        guard=observations.guard,
    )
    verification = Verification(
        look_ups=look_ups,
        source=upstream.source,
        overrides=observations.overrides,
        clock=clock,
        local_clock=basics.clock,
        sandbox=upstream.is_sandbox,
    )
    basics.stack.push_async_callback(verification.close)
    history = None
    if settings.remember_refusals:
        cause = partial(readiness.cause_of, "source")
        history = open_refusals(basics, observations, fingerprints, redis=redis, cause=cause)
    passes = None
    if settings.has_passes:
        from service.wiring.pass_parts import build_passes  # noqa: PLC0415 - off until configured: not even imported

        passes = build_passes(basics, observations, verification, fingerprints)
    challenges = None
    if settings.has_mail:
        from service.wiring.mail_parts import build_challenges  # noqa: PLC0415 - off until configured: not imported

        outbox = None if sandbox is None else sandbox.outbox
        challenges = build_challenges(basics, environment=upstream.address.environment, redis=redis, outbox=outbox)
    proofs = None
    if settings.oidc or challenges is not None:
        from service.wiring.proof_parts import build_proofs  # noqa: PLC0415 - off until configured: not even imported

        issuer = None if sandbox is None else sandbox.issuer
        proofs = build_proofs(basics, verification, fingerprints, challenges=challenges, own_issuer=issuer)
    key_sharing = key_sharing_of(basics, fingerprints, redis=redis)
    verify = VerifyService(
        verification=verification,
        fingerprints=fingerprints,
        writer=AnswerWriter(jitter=random.random),
        metrics=basics.metrics,
        log=basics.log,
        clock=clock,
        default_deadline=timedelta(milliseconds=settings.deadline_ms),
        refusals=None if history is None else history.memory,
        passes=None if passes is None else passes.shown,
        key_sharing=key_sharing,
        access_tokens=settings.itch.access_tokens,
        proofs=proofs,
    )
    admin = AdminService(
        verification=verification,
        fingerprints=fingerprints,
        guard=observations.guard,
        refusals=history,
        key_sharing=key_sharing,
        log=basics.log,
        clock=clock,
    )
    overrides = OverrideService(
        overrides=observations.overrides, notes=observations.notes, told=observations.told, log=basics.log
    )
    words = StandingWords(overrides=observations.overrides, notes=observations.notes, fingerprints=fingerprints)
    records = PlayerRecords(
        history=history,
        cache=observations.cache,
        invalidations=observations.invalidations,
        words=words,
        revocations=look_ups.revocations,
        fingerprints=fingerprints,
    )
    explain = ExplainService(
        verification=verification,
        records=records,
        readiness=readiness,
        log=basics.log,
        clock=clock,
        default_deadline=timedelta(milliseconds=settings.deadline_ms),
        access_tokens=settings.itch.access_tokens,
    )
    return Services(
        verify=verify,
        batch=BatchService(verify),
        admin=admin,
        overrides=overrides,
        explain=explain,
        passes=passes,
        challenges=challenges,
        fingerprints=fingerprints,
        forget_failures=verification.forget_failures,
    )
