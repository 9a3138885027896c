"""Promises that can be broken: a test of one runs on the real thing, and must fail on each broken one.

@variants(real, forgetful=broken_on_purpose)
async def test_it_remembers(variant: Variant[Make]) -> None:
    thing = variant.make()
    with promised(variant):
        assert thing.remembers
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import pytest

T = TypeVar("T")


class Variant(NamedTuple, Generic[T]):
    """A factory of the object under test, and whether that is broken on purpose."""

    make: T
    broken: bool


def variants(real: T, **broken: T) -> pytest.MarkDecorator:
    """Run the test with the real factory, and with each of the broken ones; these on one Python only."""
    parameters = [pytest.param(Variant(real, broken=False), id="real")]
    parameters += [
        pytest.param(Variant(make, broken=True), id=f"broken: {name}", marks=pytest.mark.once)
        for name, make in broken.items()
    ]
    return pytest.mark.parametrize("variant", parameters)


@contextmanager
def promised(variant: Variant[Any]) -> Iterator[None]:
    """The assertions in this block hold; for a broken variant at least one of them must fail."""
    if not variant.broken:
        yield
        return
    with pytest.raises(AssertionError):
        yield
