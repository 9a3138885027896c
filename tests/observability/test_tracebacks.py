"""Exceptions in log lines."""

from collections.abc import Callable

import pytest

from service.errors import SourceUnavailable
from service.observability.tracebacks import Raised, describe

CANARY = "CanaryCanary0123456789"


def caught(raising: Callable[[], object]) -> list[Raised]:
    """Return the description of what is raised."""
    try:
        raising()
    except BaseException as error:  # noqa: BLE001 - it is what the test is about
        return describe((type(error), error, error.__traceback__))
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> None:
    """Raise it, with a local variable that must not be seen."""
    secret = CANARY
    assert secret
    raise error


def dig(depth: int) -> None:
    """Fail far down."""
    if depth == 0:
        raise ValueError(CANARY)
    dig(depth - 1)


def test_foreign_exceptions_are_named_but_not_quoted() -> None:
    """Their messages may hold URLs, bodies and arguments."""
    (raised,) = caught(lambda: fail(ValueError(CANARY)))

    assert raised.type == "ValueError"
    assert CANARY not in str(raised)


def test_notes_are_not_quoted() -> None:
    """A note is a message too."""
    error = ValueError()
    error.add_note(CANARY)

    assert CANARY not in str(caught(lambda: fail(error)))


def test_our_own_exceptions_are_quoted() -> None:
    """The words of our own exceptions are safe to log."""
    (raised,) = caught(lambda: fail(SourceUnavailable("a challenge page")))

    assert str(raised).startswith("service.errors.SourceUnavailable: a challenge page\n")


def test_our_own_words_are_redacted_all_the_same() -> None:
    """Someone may quote too much one day."""
    (raised,) = caught(lambda: fail(SourceUnavailable(f"ogw_{CANARY}")))

    assert raised.message == "[redacted]"


def test_operating_system_errors_show_their_symbol() -> None:
    """Connection refused and disk full can be distinguished without the message."""
    (raised,) = caught(lambda: fail(ConnectionRefusedError(111, CANARY)))

    assert raised.errno == "ECONNREFUSED"


def test_frames_name_the_code() -> None:
    """A frame names the function, without paths, source lines or values."""
    (raised,) = caught(lambda: fail(ValueError()))

    assert raised.frames[-1].endswith(" in fail")
    assert CANARY not in str(raised.frames)


def test_deep_tracebacks_are_cut_in_the_middle() -> None:
    """Both the outermost and the innermost frames stay."""
    (raised,) = caught(lambda: dig(100))

    assert len(raised.frames) == 21
    assert raised.frames[0].endswith(" in caught")
    assert raised.frames[10] == "... 83 more ..."


def test_causes_are_told() -> None:
    """The cause of an exception follows it."""

    def translate() -> None:
        try:
            fail(KeyError(CANARY))
        except KeyError as error:
            raise SourceUnavailable from error

    assert [(raised.type, raised.relation) for raised in caught(translate)][1] == ("KeyError", "cause")


def test_contexts_are_told() -> None:
    """The exception that was being handled follows it too."""

    def stumble() -> None:
        try:
            fail(KeyError(CANARY))
        except KeyError:
            fail(ValueError())

    assert [str(raised).partition("\n")[0] for raised in caught(stumble)] == ["ValueError", "context: KeyError"]


def test_suppressed_contexts_are_not_told() -> None:
    """An adapter that raises from None means it."""

    def translate() -> None:
        try:
            fail(KeyError(CANARY))
        except KeyError:
            raise SourceUnavailable from None

    assert len(caught(translate)) == 1


def test_groups_are_told_with_their_members() -> None:
    """The members of an exception group follow it."""
    found = caught(lambda: fail(ExceptionGroup(CANARY, [ValueError(CANARY), KeyError(CANARY)])))

    assert [raised.type for raised in found] == ["ExceptionGroup", "ValueError", "KeyError"]
    assert CANARY not in str(found)


def test_large_groups_are_cut() -> None:
    """A thousand failures are not a thousand tracebacks."""
    assert len(caught(lambda: fail(ExceptionGroup("", [ValueError() for _ in range(1_000)])))) == 10


def test_circles_end() -> None:
    """Exceptions that caused each other are shown once."""
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one

    assert [raised.type for raised in caught(lambda: fail(one))] == ["ValueError", "KeyError"]


@pytest.mark.parametrize("error", [OSError(), OSError(99999, "no such number")])
def test_unknown_numbers_have_no_symbol(error: OSError) -> None:
    """An error number without a symbol is left out."""
    (raised,) = caught(lambda: fail(error))

    assert str(raised).startswith("OSError\n")
