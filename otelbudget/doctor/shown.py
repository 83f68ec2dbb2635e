"""What a probe's process tells the process that started it, one JSON object a line."""

from decimal import Decimal

import msgspec

MARK = "otelbudget.doctor:"
"""How a line begins that is told, and not printed by an SDK."""


class Shown(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one form of a call has shown.

    Attributes:
        form: The form; None says that the probe makes no sense, for the reason given.
        reason: What is wrong; None where nothing is.
        requests_after_stop: Requests that left after the budget was used up.
        charged_usd: What the processor counted for the first call.
        billed_usd: What the provider billed for it.
    """

    form: str | None = None
    reason: str | None = None
    requests_after_stop: int | None = None
    charged_usd: Decimal | None = None
    billed_usd: Decimal | None = None
