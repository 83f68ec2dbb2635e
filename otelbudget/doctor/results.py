"""What the probes of an environment have shown."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Result(StrEnum):
    """What a probe has shown.

    Attributes:
        PASS: The stop held and the charge was right.
        FAIL: It did not, or the probe could not be made to its end.
        NOT_COVERED: There is nothing to probe: no gate, or no call that would show something.
    """

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_COVERED = "not covered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One way to call a model, and whether a used-up budget stops it.

    Attributes:
        sdk: Distribution whose calls were made, such as "openai".
        version: Its version.
        instrumentation: Distribution that instrumented the calls, or None for the bare SDK.
        form: How the call was made, such as "chat, async"; None where none was.
        result: What came out.
        requests_after_stop: Requests that left after the budget was used up; None where the probe
            did not come that far.
        charged_usd: What the processor counted for the first call, in US dollars, or None.
        billed_usd: What the fake provider billed, at the prices of this environment, or None.
        reason: One sentence, for everything but a pass.
    """

    sdk: str
    version: str | None
    instrumentation: str | None = None
    form: str | None = None
    result: Result
    requests_after_stop: int | None = None
    charged_usd: Decimal | None = None
    billed_usd: Decimal | None = None
    reason: str | None = None

    def sentence(self) -> str:
        """What was probed, and the reason."""
        under = f" under {self.instrumentation}" if self.instrumentation else ""
        form = f" ({self.form})" if self.form else ""
        return f"{self.sdk} {self.version}{form}{under}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Report:
    """Every probe of an environment, SDK by SDK.

    Attributes:
        probes: The probes; those of one SDK and instrumentation follow each other.
    """

    probes: tuple[ProbeResult, ...]

    @property
    def failures(self) -> tuple[ProbeResult, ...]:
        """The probes that failed."""
        return tuple(probe for probe in self.probes if probe.result is Result.FAIL)

    @property
    def is_ok(self) -> bool:
        """Whether no probe failed."""
        return not self.failures
