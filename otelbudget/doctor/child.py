"""The process of one probe: an SDK, instrumented or not, on a provider in the same process.

    python -m otelbudget.doctor.child SDK [INSTRUMENTATION]

Each form of a call is told on one line of standard output as soon as it is known.
"""

import os
import sys
import time
from collections.abc import Iterable
from decimal import Decimal
from importlib import import_module
from ipaddress import ip_address
from operator import attrgetter
from typing import Any

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otelbudget.budgets.config import Budget
from otelbudget.doctor.calls import CALLS, PROVIDERS, Call, prepare
from otelbudget.doctor.probes import INSTRUMENTATIONS, Instrumentation
from otelbudget.doctor.shown import MARK, Shown
from otelbudget.errors import BudgetExceededError, display_usd
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.gates import active
from otelbudget.live.processor import BudgetSpanProcessor
from otelbudget.pricing.billing import UnknownModel, bill, usd
from otelbudget.pricing.book import PriceBook
from otelbudget.testing.provider import FakeProvider
from otelbudget.testing.replies import Billed, Reply, Usage

_REPLY = Reply(input_tokens=1_200, output_tokens=340)
_LIMIT_USD = "0.000000000001"  # any call uses it up
_MAX_CHARACTERS = 150
_NETWORK_EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0}


def main(sdk: str, instrumentation: str | None = None) -> None:
    """Make every call of an SDK twice, under a budget that the first one uses up."""
    sys.addaudithook(_stay_on_loopback)
    tracing = _tracing()
    prepare(sdk)
    problem = _instrumented(instrumentation, tracing)
    if problem is not None:
        _tell(Shown(reason=problem))
        return
    with FakeProvider(_REPLY) as provider:
        for form, call in CALLS[sdk].items():
            _tell(_Trial(provider, tracing).shown(form, call))


def _tracing() -> Any:
    """The global provider that is there already, as under opentelemetry-instrument, else a new one."""
    if not hasattr(trace.get_tracer_provider(), "add_span_processor"):
        trace.set_tracer_provider(TracerProvider())
    return trace.get_tracer_provider()


def _instrumented(name: str | None, tracing: Any) -> str | None:
    """Instrument; says why that is not possible, or None."""
    if name is None:
        return None
    [known] = [each for each in INSTRUMENTATIONS if each.name == name]
    module, _, attribute = known.target.partition(":")
    target = attrgetter(attribute)(import_module(module))
    if not isinstance(target, type):
        target()
        return None
    return _instrument(target(), known, tracing)


def _instrument(instrumentor: Any, known: Instrumentation, tracing: Any) -> str | None:
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(tracer_provider=tracing)
    if instrumentor.is_instrumented_by_opentelemetry:
        return None
    return (
        f"{known.name} does not instrument the installed version, so there is nothing to show; "
        "see its requirements."
    )


class _Trial:
    """Two calls of one form, under a budget of their own.

    Args:
        provider: Who is called.
        tracing: The provider of the application's spans.
    """

    def __init__(self, provider: FakeProvider, tracing: Any) -> None:
        self._provider = provider
        self._tracing = tracing

    def shown(self, form: str, call: Call) -> Shown:
        """What the two calls have shown."""
        processor = BudgetSpanProcessor(Budget(name="doctor", cost_usd=_LIMIT_USD, warn_at=()))
        self._tracing.add_span_processor(processor)
        try:
            with self._tracing.get_tracer("otelbudget.doctor").start_as_current_span("probe"):
                return self._two_calls(form, call, processor)
        finally:
            processor.shutdown()

    def _two_calls(self, form: str, call: Call, processor: BudgetSpanProcessor) -> Shown:
        bills = len(self._provider.billed)
        try:
            call(self._provider.url)
        except BaseException as error:  # noqa: BLE001 - whatever an SDK raises is the finding
            return Shown(form=form, reason=f"The first call failed: {_named(error)}")
        billed = _usd(self._provider.billed[bills:])
        charged = usd(sum(each.cost_pusd for _, each in processor.engine.ledger.accounts()))
        requests = self._provider.request_count
        raised = _raised(call, self._provider.url)
        after = self._provider.request_count - requests
        shown = Shown(form=form, requests_after_stop=after, charged_usd=charged, billed_usd=billed)
        shown.reason = _fault(shown, raised)
        return shown


def _usd(calls: Iterable[Billed]) -> Decimal:
    """What calls cost at the prices of this environment."""
    book = PriceBook.load()
    return usd(
        sum(
            bill(
                ModelCall(
                    provider=PROVIDERS.get(each.model),
                    request_model=each.model,
                    usage=_token_usage(each.usage),
                    start_time_unix_nano=time.time_ns(),
                ),
                book,
                UnknownModel.CEILING,
            ).counted_pusd
            for each in calls
        )
    )


def _token_usage(usage: Usage) -> TokenUsage:
    return TokenUsage(usage.input_tokens, usage.output_tokens)


def _raised(call: Call, url: str) -> BaseException | None:
    try:
        call(url)
    except BaseException as error:  # noqa: BLE001 - as above
        return error
    return None


def _fault(shown: Shown, raised: BaseException | None) -> str | None:
    """The first thing that is wrong with what was shown."""
    if active.is_disabled():
        return f"{active.DISABLED_VARIABLE} is set, so nothing is counted or stopped."
    if shown.requests_after_stop:
        return f"{shown.requests_after_stop} request(s) left after the budget was used up."
    if shown.charged_usd != shown.billed_usd:
        charged, billed = (
            display_usd(each or Decimal(0)) for each in (shown.charged_usd, shown.billed_usd)
        )
        return f"The first call was charged {charged} USD and billed {billed} USD."
    if type(raised) is not BudgetExceededError:
        what = "nothing" if raised is None else _named(raised)
        return f"The refused call did not raise BudgetExceededError but {what}"
    return None


def _named(error: BaseException) -> str:
    """An error in one line that is not too long."""
    sentence = " ".join(f"{type(error).__name__}: {error}".split())
    return sentence if len(sentence) <= _MAX_CHARACTERS else f"{sentence[:_MAX_CHARACTERS]}…"


def _stay_on_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse whatever leaves this machine, whichever package sends it."""
    place = _NETWORK_EVENTS.get(event)
    if place is None:
        return
    address = arguments[place]
    host = address[0] if isinstance(address, tuple) else address if event.endswith("info") else None
    host = host.decode() if isinstance(host, bytes) else host
    if isinstance(host, str) and not _is_loopback(host):
        raise PermissionError(f"a probe stays on this machine and does not reach {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tell(shown: Shown) -> None:
    sys.stdout.write(f"\n{MARK}{msgspec.json.encode(shown).decode()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # what SDKs run in the background would keep us waiting
