"""What a sample tells of a share of all runs, by order statistics: no distribution is assumed."""

import math
from collections.abc import Sequence

CONFIDENCE = 0.9
_FARTHEST_DEVIATIONS = 12


def runs_needed(covers: float, kinds: int = 1) -> int:
    """How many runs limits on so many kinds need at least, to cover the wanted share together."""
    count = math.ceil(math.log(1 - CONFIDENCE) / math.log(covers))
    while cuts(count, covers) < kinds:
        count += 1
    return count


def cuts(count: int, covers: float) -> int:
    """How many runs may be cut off from above, so that the wanted share is left; 0 for none."""
    rank = upper_rank(count, covers)
    return 0 if rank is None else count - rank + 1


def upper_rank(count: int, covers: float, confidence: float = CONFIDENCE) -> int | None:
    """Rank, from 1, of the smallest value that bounds the wanted share; None where none does.

    The value of rank r bounds the quantile q with the probability that fewer than r of `count`
    values lie below the quantile, which is binomial.
    """
    below = 0.0
    for rank in range(_first_rank(count, covers), count + 1):
        below += binomial(count, rank - 1, covers)
        if below >= confidence:
            return rank
    return None


def interval_ranks(
    count: int, covers: float, *, doubtful: int = 0, hidden: float = 0.0
) -> tuple[int, int] | None:
    """Ranks, from 1, between which the quantile lies with 90 % confidence; a lower rank 0 is 0.

    Args:
        count: Size of the sample.
        covers: Which quantile of the good runs.
        doubtful: Further values above the sample that may belong to it; the upper rank counts them.
        hidden: Share of the sample that may not belong to it, above the quantile.
    """
    whole = count + doubtful
    upper = upper_rank(whole, covers, (1 + CONFIDENCE) / 2) or upper_rank(whole, covers)
    if upper is None:
        return None
    above = 1 - math.fsum(
        binomial(whole, below, covers)
        for below in range(_first_rank(whole, covers) - 1, min(upper, whole + 1))
    )
    lowest = covers * (1 - hidden)
    below = 0.0
    for rank in range(_first_rank(count, lowest), min(upper, count) + 1):
        below += binomial(count, rank - 1, lowest)
        if below > 1 - CONFIDENCE - above:
            return rank - 1, upper
    return min(upper, count), upper


def box(columns: Sequence[Sequence[int]], count: int) -> list[int]:
    """Highest values that are left when so many runs are cut off, by each kind in turn.

    Each cut takes the run that needs most of a kind, among those still there. The share of all runs
    that lies within all the values is distributed as if one kind alone had been cut so often,
    however the kinds hang together.

    Source: J. W. Tukey, Nonparametric estimation II, Ann. Math. Statist. 18 (1947) 529-539.

    Args:
        columns: What each run needs, a sequence per kind.
        count: Number of cuts, at least one per kind and at most one per run.
    """
    orders = [
        iter(sorted(range(len(column)), key=column.__getitem__, reverse=True)) for column in columns
    ]
    gone: set[int] = set()
    highest = [0] * len(columns)
    for cut in range(count):
        kind = cut % len(columns)
        run = next(each for each in orders[kind] if each not in gone)
        gone.add(run)
        highest[kind] = columns[kind][run]
    return highest


def at_least(count: int, successes: int, probability: float) -> float:
    """Probability of so many successes or more among `count` trials."""
    return math.fsum(binomial(count, each, probability) for each in range(successes, count + 1))


def binomial(count: int, successes: int, probability: float) -> float:
    """Probability of just so many successes among `count` trials."""
    log = (
        math.lgamma(count + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(count - successes + 1)
        + successes * math.log(probability)
        + (count - successes) * math.log1p(-probability)
    )
    return math.exp(log)


def _first_rank(count: int, probability: float) -> int:
    """A rank from which to add up; what lies before it is less than 1e-20."""
    deviation = math.sqrt(count * probability * (1 - probability))
    return max(int(count * probability - _FARTHEST_DEVIATIONS * deviation), 1)
