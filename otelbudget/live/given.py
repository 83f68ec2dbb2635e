"""What a processor is given, checked and put together."""

from collections.abc import Sequence

from otelbudget.budgets.config import Budget, Budgets
from otelbudget.errors import BudgetConfigError
from otelbudget.pricing.billing import UnknownModel


def unknown_model_of(value: UnknownModel | str) -> UnknownModel:
    """What a model without a known price counts as.

    Raises:
        BudgetConfigError: The word is none of `UnknownModel`.
    """
    try:
        return UnknownModel(value)
    except ValueError as error:
        allowed = ", ".join(UnknownModel)
        raise BudgetConfigError(
            f"is {value!r}, allowed are {allowed}", key="unknown_model"
        ) from error


def merged(given: Sequence[Budget | Budgets]) -> Budgets:
    """Budgets and files as one.

    Raises:
        BudgetConfigError: There is no budget, or two have one name.
    """
    budgets: list[Budget] = []
    unknown_model, prices = UnknownModel.CEILING, None
    for each in given:
        if isinstance(each, Budgets):
            budgets.extend(each.budgets)
            unknown_model, prices = each.unknown_model, each.prices or prices
        else:
            budgets.append(_checked(each))
    if not budgets:
        raise BudgetConfigError("give at least one budget, such as Budget(cost_usd='0.25')")
    return Budgets(tuple(budgets), unknown_model, prices)


def _checked(budget: object) -> Budget:
    if not isinstance(budget, Budget):
        raise BudgetConfigError(
            f"{budget!r} is no budget; give one such as Budget(cost_usd='0.25')"
        )
    return budget
