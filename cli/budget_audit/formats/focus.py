"""Spend as a FOCUS 1.2 file: one row for each day, model, class of tokens and value of the keys."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from budget_audit.formats.values import money, optional_money
from otelbudget.audit.focus import VERSION, Charge

_UNKNOWN = "(none)"


def rows(charges: Sequence[Charge], prices: str) -> list[Mapping[str, object]]:
    """Rows with the columns of FOCUS in order of the alphabet, then ours.

    Args:
        charges: What was spent.
        prices: Source and version of the prices.
    """
    return [_row(charge, prices) for charge in charges]


def _row(charge: Charge, prices: str) -> Mapping[str, object]:
    cost = optional_money(charge.list_cost_pusd) or ""
    rate = "" if charge.rate_pusd is None else money(charge.rate_pusd)
    provider = charge.provider or _UNKNOWN
    sku = charge.model or _UNKNOWN
    tier = f" ({charge.service_tier})" if charge.service_tier else ""
    start, end = _times(charge.period)
    month, month_end = _times(charge.month)
    return {
        "BilledCost": cost,
        "BillingAccountId": _UNKNOWN,
        "BillingAccountName": "",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": month_end,
        "BillingPeriodStart": month,
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"{charge.meter} of {sku}{tier}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": end,
        "ChargePeriodStart": start,
        "ConsumedQuantity": charge.quantity,
        "ConsumedUnit": charge.unit,
        "ContractedCost": cost,
        "ContractedUnitPrice": rate,
        "EffectiveCost": cost,
        "InvoiceIssuerName": provider,
        "ListCost": cost,
        "ListUnitPrice": rate,
        "PricingCategory": "Standard",
        "PricingQuantity": charge.quantity,
        "PricingUnit": charge.unit,
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{provider} models",
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku,
        "SkuMeter": charge.meter,
        "SkuPriceId": f"{sku}/{charge.meter}{tier}",
        "Tags": json.dumps(charge.tags, ensure_ascii=False),
        "x_CostBasis": "list price, no invoice",
        "x_FocusVersion": VERSION,
        "x_ModelCalls": charge.calls,
        "x_PriceSource": prices,
        "x_ServiceTier": charge.service_tier or "",
    }


def _times(period: tuple[datetime, datetime] | None) -> tuple[str, str]:
    if period is None:
        return "", ""
    start, end = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in period)
    return start, end
