"""The pytest plugin: the fixture `fake_provider`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # an entry point is loaded in every pytest run: import only when a test asks
    from otelbudget.testing.provider import FakeProvider


@pytest.fixture
def fake_provider() -> Iterator["FakeProvider"]:
    """A running `otelbudget.testing.FakeProvider`, closed after the test.

    It gives the default `Reply` to every call; `fake_provider.reply_with(...)` sets others.
    """
    from otelbudget.testing.provider import FakeProvider  # noqa: PLC0415  (see above)

    with FakeProvider() as provider:
        yield provider
