"""Gates that instrumentations take away are put back, and those that are there stay as they are."""

import functools
import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, ClassVar

import pytest
import wrapt
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otelbudget import Budget, BudgetSpanProcessor
from otelbudget.live.gates import placing


class Base:
    """What an SDK's clients have in common."""

    def send(self, text: str) -> str:
        """Send a text."""
        return f"sent {text}"


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that passed the gate of a test, which no later test sees."""
    monkeypatch.setattr(placing, "_placed", placing.Placed())
    return []


@pytest.fixture
def client(passed: list[str]) -> Any:
    """A client class of the test's own, with a gate around what it inherits."""

    class Client(Base):
        pass

    placing.place(Client, "send", _gate(passed))
    return Client


def _gate(passed: list[str]) -> Callable[..., Any]:
    def gate(
        wrapped: Callable[..., str], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> str:
        passed.append(args[0])
        return wrapped(*args, **kwargs)

    return gate


def _traced(
    wrapped: Callable[..., str], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str:
    return wrapped(*args, **kwargs) + " traced"


def test_a_gate_is_put_around_an_inherited_method_and_not_around_its_base(
    client: Any, passed: list[str]
) -> None:
    answers = client().send("a"), Base().send("b")

    assert answers == ("sent a", "sent b")
    assert passed == ["a"]


def test_a_gate_is_put_around_a_function_of_a_module(passed: list[str]) -> None:
    module = ModuleType("sdk")
    plain = module.send = lambda text: f"sent {text}"  # type: ignore[attr-defined]
    placing.place(module, "send", _gate(passed))
    module.send = plain  # type: ignore[attr-defined]
    placing.replace_lost()

    assert module.send("a") == "sent a"
    assert passed == ["a"]


def test_a_gate_that_was_taken_away_is_put_back(client: Any, passed: list[str]) -> None:
    client.send = Base.send
    client().send("a")
    placing.replace_lost()
    client().send("b")

    assert passed == ["b"]


def test_a_gate_whose_class_inherits_its_method_again_is_put_back(
    client: Any, passed: list[str]
) -> None:
    del client.send
    placing.replace_lost()
    client().send("a")

    assert passed == ["a"]


def test_a_gate_is_not_put_twice(client: Any, passed: list[str]) -> None:
    placing.replace_lost()
    placing.replace_lost()
    client().send("a")

    assert passed == ["a"]


def test_a_gate_under_a_wrapper_of_wrapt_is_left_where_it_is(
    client: Any, passed: list[str]
) -> None:
    wrapt.wrap_function_wrapper(client, "send", _traced)
    placing.replace_lost()

    assert client().send("a") == "sent a traced"
    assert passed == ["a"]


def test_a_gate_under_a_decorator_is_left_where_it_is(client: Any, passed: list[str]) -> None:
    under = client.send

    @functools.wraps(under)
    def send(self: Any, text: str) -> str:
        return f"{under(self, text)} traced"

    client.send = send
    placing.replace_lost()

    assert client().send("a") == "sent a traced"
    assert passed == ["a"]


def test_a_gate_that_was_kept_as_its_class_hands_it_out_and_put_back_is_not_put_twice(
    client: Any, passed: list[str]
) -> None:
    """As instrumentations of OpenInference do."""
    kept = client.send
    wrapt.wrap_function_wrapper(client, "send", _traced)
    client.send = kept
    placing.replace_lost()

    assert client().send("a") == "sent a"
    assert passed == ["a"]


def test_two_gates_of_one_class_are_told_apart(client: Any, passed: list[str]) -> None:
    others: list[str] = []
    client.ask = Base.send
    placing.place(client, "ask", _gate(others))
    client.ask = client.send
    placing.replace_lost()
    client().ask("a")

    assert (passed, others) == (["a"], ["a"])


class Instrumentation(BaseInstrumentor):  # type: ignore[misc]
    """Wraps the clients of a class, and puts back what it found."""

    target: ClassVar[Any] = None
    fault: ClassVar[Exception | None] = None

    def instrumentation_dependencies(self) -> tuple[str, ...]:
        """None: it instruments a class of this test."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self.found = self.target.send
        wrapt.wrap_function_wrapper(self.target, "send", _traced)

    def _uninstrument(self, **_: Any) -> None:
        self.target.send = self.found
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def instrumentation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instrumentation]:
    """An instrumentation that is switched on before there is a processor."""

    class Client(Base):
        pass

    monkeypatch.setattr(Instrumentation, "target", Client)
    instrumentor = Instrumentation()
    instrumentor.instrument()
    yield instrumentor
    monkeypatch.setattr(Instrumentation, "fault", None)
    instrumentor.uninstrument()


def test_a_gate_outlives_an_instrumentation_that_was_there_first(
    passed: list[str], instrumentation: Instrumentation
) -> None:
    BudgetSpanProcessor(Budget(calls=1)).shutdown()
    client = instrumentation.target
    placing.place(client, "send", _gate(passed))
    answers = [client().send("a")]
    instrumentation.uninstrument()
    answers.append(client().send("b"))
    instrumentation.instrument()
    answers.append(client().send("c"))

    assert answers == ["sent a traced", "sent b", "sent c traced"]
    assert passed == ["a", "b", "c"]


def test_a_gate_outlives_an_instrumentation_that_fails_when_it_is_switched_off(
    passed: list[str], instrumentation: Instrumentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    BudgetSpanProcessor(Budget(calls=1)).shutdown()
    placing.place(instrumentation.target, "send", _gate(passed))
    monkeypatch.setattr(Instrumentation, "fault", RuntimeError("its own"))
    with pytest.raises(RuntimeError, match="its own"):
        instrumentation.uninstrument()
    instrumentation.target().send("a")

    assert passed == ["a"]


def test_a_gate_that_cannot_be_put_back_is_logged_once_and_breaks_nothing(
    passed: list[str],
    instrumentation: Instrumentation,
    caplog: pytest.LogCaptureFixture,
) -> None:
    BudgetSpanProcessor(Budget(calls=1)).shutdown()

    class Gone:
        def send_nothing(self) -> None: ...

    placing.place(Gone, "send_nothing", _gate(passed))
    del Gone.send_nothing
    with caplog.at_level(logging.ERROR, "otelbudget"):
        instrumentation.uninstrument()
        instrumentation.instrument()

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "cannot put a gate back" in caplog.text
