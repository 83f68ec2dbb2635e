"""Live spend is audited spend is what the provider billed, whoever tells of the calls."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.compat

PACKAGES = ("none", "genai", "traceloop", "openinference", "pydantic-ai")
FORMS = {
    "chat": ("plain", "streamed"),
    "responses": ("plain", "streamed"),
    "messages": ("plain", "streamed", "helper"),
}


class Cell(NamedTuple):
    """A run as the fixture `outcome_of` takes it; `Run` in conftest.py says what each means."""

    api: str
    package: str
    form: str
    case: str
    is_async: bool = False
    has_native_spans: bool = False
    has_root: bool = True

    @property
    def unclear_calls(self) -> int:
        """Calls that may have been billed: an answer 500. A limit on calls counts it."""
        return 1 if self.case == "failed" else 0

    @property
    def is_possible(self) -> bool:
        """Whether the package has the form."""
        return self.package != "pydantic-ai" or self.form != "helper"

    @property
    def id(self) -> str:
        """The cell in words."""
        teller = self.package + ("+native" if self.has_native_spans else "")
        client = "async" if self.is_async else "sync"
        words = [self.api, teller, self.form, client, self.case]
        return "-".join(words if self.has_root else [*words, "rootless"])


def cells() -> Iterator[Cell]:
    """Every cell of the table."""
    for api, package in product(FORMS, PACKAGES):
        for is_native, form in product(
            (False, True) if api == "messages" else (False,), FORMS[api]
        ):
            cell = Cell(api, package, form, "usage", has_native_spans=is_native)
            yield cell
            if is_native or api != "messages":
                yield cell._replace(is_async=True)
            if form != "helper":
                yield cell._replace(case="failed")
            if api == "messages" and (is_native or form == "plain"):
                yield cell._replace(case="one-hour-cache")
    # The span of traceloop is not made current: without a root the two spans are two traces.
    for form in FORMS["messages"]:
        cell = Cell("messages", "traceloop", form, "usage", has_native_spans=True)
        yield cell._replace(has_root=False)


def table() -> list[Any]:
    """The cells as parameters."""
    return [pytest.param(cell, id=cell.id) for cell in cells() if cell.is_possible]


@pytest.mark.parametrize("cell", table())
def test_live_spend_is_the_bill(cell: Cell, outcome_of: Callable[..., Any]) -> None:
    outcome = outcome_of(*cell)

    expected = outcome.bill
    assert outcome.live == expected._replace(calls=expected.calls + cell.unclear_calls)


@pytest.mark.parametrize("cell", table())
def test_audited_spend_is_the_bill(cell: Cell, outcome_of: Callable[..., Any]) -> None:
    outcome = outcome_of(*cell)

    assert outcome.audited == outcome.bill
    assert outcome.unclear_calls == cell.unclear_calls
