"""Which runs look like runaways: so far above the others that limits should not make room for them.

A runaway is a run that took eight times what it needed, or more. In logarithms it is shifted by
ln 8 at least, while the good runs spread around their middle.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, median
from typing import NamedTuple

from otelbudget.budgets.config import LimitKind

_MOST_RUNAWAYS = 0.1
_SHIFTS = tuple(math.log(8) + math.log(10) * step / 20 for step in range(21))
_FOUND_DEVIATIONS = 1.5
_LEAST_DEVIATIONS = 2.4
_LEAST_DEVIATIONS_ALONE = 3.5
_NORMAL_PER_MAD = 1.4826
_ROUNDS = 20
_CLOSE = 1e-4
_MOST_HIDDEN = 0.05
_TELLING = (LimitKind.COST_USD, LimitKind.TOKENS, LimitKind.CALLS, LimitKind.TOOL_CALLS)
_NORMAL = NormalDist()


class Suspects(NamedTuple):
    """The runs that look like runaways, each by its place among the runs.

    Attributes:
        listed: Which to leave out, in order of place.
        doubtful: Those of them that may be good: as many of the lowest as good runs alone explain.
        hidden: Share of the other runs that may be runaways unseen.
        second_mode: How many runs lie as high, where they are too many to be runaways; else 0.
    """

    listed: tuple[int, ...] = ()
    doubtful: tuple[int, ...] = ()
    hidden: float = 0.0
    second_mode: int = 0


class _Spread(NamedTuple):
    """How the good runs spread in logarithms: as if normal, above which they look like runaways."""

    middle: float
    deviation: float
    highest: float

    @property
    def share_above(self) -> float:
        """Share of the good runs that lie above."""
        if not self.deviation:
            return 0.0
        return 1 - _NORMAL.cdf((self.highest - self.middle) / self.deviation)

    @property
    def share_missed(self) -> float:
        """Share of the runaways, shifted by 8 to 80, that do not lie above."""
        room = self.highest - self.middle
        if not self.deviation:
            return 0.0
        return fmean(_NORMAL.cdf((room - shift) / self.deviation) for shift in _SHIFTS)


def suspects(needs: Mapping[LimitKind, Sequence[int]]) -> Suspects:
    """The runs that look like runaways.

    What a run costs decides, or its tokens where runs are free. The other kinds, but for time, list
    a run only where good runs hardly reach: a run with many times the calls of all others.

    Args:
        needs: What each run needed, by kind; all sequences are in the same order.
    """
    telling = [kind for kind in _TELLING if any(needs.get(kind, ()))]
    if not telling:
        return Suspects()
    main = needs[telling[0]]
    spread = _spread(main, _LEAST_DEVIATIONS)
    above = _above(main, spread)
    found = set(above)
    for kind in telling[1:]:
        found.update(_above(needs[kind], _spread(needs[kind], _LEAST_DEVIATIONS_ALONE)))
    if len(found) > _MOST_RUNAWAYS * len(main):
        return Suspects(second_mode=len(found))
    explained = min(round(spread.share_above * (len(main) - len(found))), len(above))
    missed = spread.share_missed
    hidden = min(len(above) / len(main) * missed / (1 - missed), _MOST_HIDDEN)
    lowest = sorted(above, key=main.__getitem__)[:explained]
    return Suspects(tuple(sorted(found)), tuple(sorted(lowest)), hidden)


def _spread(amounts: Sequence[int], least_deviations: float) -> _Spread:
    """The spread of the good runs: that of the runs below what is highest for such a spread.

    A start that few high runs do not move is bettered round by round: the mean and the deviation of
    the runs below the highest, corrected for those that a normal distribution has above it.
    """
    logs = [math.log(amount) for amount in amounts if amount > 0]
    middle = median(logs)
    deviation = _NORMAL_PER_MAD * median(abs(log - middle) for log in logs)
    for _ in range(_ROUNDS):
        highest = _highest(middle, deviation, least_deviations)
        kept = [log for log in logs if log <= highest]
        mean = fmean(kept)
        spread = math.sqrt(fmean((log - mean) ** 2 for log in kept))
        before = deviation
        middle, deviation = _whole(mean, spread, (highest - middle) / before if before else None)
        if abs(deviation - before) <= _CLOSE * before:
            break
    return _Spread(middle, deviation, _highest(middle, deviation, least_deviations))


def _highest(middle: float, deviation: float, least_deviations: float) -> float:
    """Where runaways begin: most that are shifted by ln 8 lie above, and hardly any good run does."""
    return middle + max(_SHIFTS[0] - _FOUND_DEVIATIONS * deviation, least_deviations * deviation)


def _whole(mean: float, deviation: float, cut: float | None) -> tuple[float, float]:
    """Mean and deviation of a normal distribution from those of its part below a cut.

    Args:
        mean: Mean of the part.
        deviation: Deviation of the part.
        cut: The cut in deviations above the middle, None for none.
    """
    if cut is None:
        return mean, deviation
    lost = _NORMAL.pdf(cut) / _NORMAL.cdf(cut)
    whole = deviation / math.sqrt(1 - cut * lost - lost * lost)
    return mean + lost * whole, whole


def _above(amounts: Sequence[int], spread: _Spread) -> list[int]:
    """The runs above the spread, by place."""
    highest = math.exp(spread.highest)
    return [place for place, amount in enumerate(amounts) if amount > highest]
