"""What a processor counts about itself, for those who ask whether its figures are whole."""

import msgspec


class ProcessorStats(msgspec.Struct, frozen=True):
    """What one processor has counted about itself since it was made.

    Attributes:
        corrected: Charges that were taken back, because a span that ended later told of the same
            tokens.
        matched_by_usage: Spans without response id that were taken for a call already told of because time
            and tokens are the same.
        overflow: Spans and traces that are no longer linked because a bound was reached; what
            starts below them may be charged twice.
        dropped_scopes: Accounts that were dropped because there were too many; a trace that goes on
            after that starts at zero.
        faults: Faults of otelbudget itself that were caught; what they concern is not counted.
    """

    corrected: int
    matched_by_usage: int
    overflow: int
    dropped_scopes: int
    faults: int
