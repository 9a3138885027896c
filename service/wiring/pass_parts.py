"""The parts behind passes. Imported only where passes are on."""

from datetime import timedelta
from typing import Final

from litestar.types import ControllerRouterHandler
from msgspec import Struct

from service.api.passes import PassService, create_pass_routes
from service.api.routes import CallerGate
from service.api.verify_service import VerifyService
from service.cache.keys import KeyedFingerprints
from service.pass_pem import new_signing_key
from service.passes.handles import Handles
from service.passes.pass_reader import PassReader
from service.passes.pass_writer import PassWriter
from service.passes.shown_pass import ShownPasses
from service.passes.signing_keys import SigningKeys
from service.passes.void_passes import VoidPasses
from service.secret import PassKeys
from service.secret_file import SecretFile
from service.secret_text import read_pem
from service.verification.policy import GameRules
from service.verification.verify import Verification
from service.wiring.basics import Basics
from service.wiring.observations import Observations

SANDBOX_ISSUER: Final = "https://sandbox.invalid"
"""RFC 6761 6.4: a name that no host can have, so that no pass of a sandbox can be taken for a real one."""


class PassParts(Struct, frozen=True):
    """The parts that read, write and revoke passes."""

    shown: ShownPasses
    writer: PassWriter
    keys: SigningKeys
    void: VoidPasses


def build_passes(
    basics: Basics, observations: Observations, verification: Verification, fingerprints: KeyedFingerprints
) -> PassParts:
    """Return the parts, with the operator's keys, or with one that the sandbox makes when it is first needed."""
    settings, clock = basics.settings.passes, basics.shared_clock
    sandbox = basics.settings.sandbox
    issuer = SANDBOX_ISSUER if sandbox or settings.issuer is None else settings.issuer
    longest = timedelta(seconds=settings.seconds)
    keys = _open_keys(basics)
    handles = Handles(basics.keys.handles, fingerprints)

    def games() -> tuple[GameRules, ...]:
        return basics.current.configuration.games.configured()

    void = VoidPasses(
        table=observations.table,
        invalidations=observations.invalidations,
        overrides=observations.overrides,
        handles=handles,
        games=games,
        longest=longest,
        clock=clock,
    )
    shown = ShownPasses(
        reader=PassReader(keys=keys, issuer=issuer),
        void=void,
        verification=verification,
        observations=observations.cache,
        fingerprints=fingerprints,
        clock=clock,
        sandbox=sandbox,
    )
    writer = PassWriter(
        keys=keys, handles=handles, issuer=issuer, longest=longest, sandbox=sandbox, is_void=void.is_void
    )
    return PassParts(shown, writer, keys, void)


def pass_routes(basics: Basics, verify: VerifyService, passes: PassParts) -> list[ControllerRouterHandler]:
    """Return the endpoints of passes."""
    gate = CallerGate(service=verify, current=basics.current, clock=basics.shared_clock)
    service = PassService(verify=verify, writer=passes.writer, on_issued=basics.metrics.pass_minted)
    return [*create_pass_routes(gate=gate, passes=service, keys=passes.keys, void=passes.void)]


def _open_keys(basics: Basics) -> SigningKeys:
    settings, events = basics.settings.passes, basics.events
    given = settings.key

    def first() -> PassKeys:
        return PassKeys(new_signing_key()) if given is None else given

    keys = SigningKeys(
        first,
        clock=basics.clock,
        reloaded=events.pass_keys_reloaded,
        unreadable=events.pass_keys_unreadable,
    )
    if settings.key_file is not None and not basics.settings.sandbox:
        keys.follow(SecretFile(settings.key_file, read=read_pem).reread)
    return keys
