"""Every wrong file is answered with one sentence: file, key, what is wrong and what is allowed."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from otelbudget import BudgetConfigError, Budgets

KEYS = (
    "allowed are per, mode, where, window, timezone, max_cost_usd, max_tokens, "
    "max_input_tokens, max_output_tokens, max_cache_read_input_tokens, "
    "max_cache_write_input_tokens, max_reasoning_output_tokens, max_calls, max_steps, "
    "max_tool_calls, max_nested_tool_calls, max_tool_calls_by_name, max_seconds, warn_at, "
    "shares, reserve, grace, cancel_in_flight, on_store_error"
)
PER = (
    "allowed are trace, run, process, any key such as tenant.id, or a list of up to 8 of "
    "them; a budget without it is a tier"
)
WINDOW = (
    "allowed are hour, day, week, month, or a length from 1s to 366d that rolls, such as "
    "15m, 24h or 7d"
)
ZONE = (
    "allowed are names of the IANA database such as 'UTC', 'Europe/Berlin' and 'America/New_York'"
)
USD = "allowed are 0 to 9223372 US dollars with at most twelve decimals"
WHOLE = "allowed are whole numbers from 0 to 9223372036854775807"
SECONDS = "allowed are 0 to 9223372036 seconds with at most nine decimals, such as 60 or '0.5'"
TIME = "is the time of a trace or a run, so it needs per: trace, per: run or a tier, and no window"
RATIOS = "allowed is a list of ratios above 0 and up to 1, such as [0.5, 0.8]"
SHARE = "allowed are ratios above 0 and up to 1 with at most twelve decimals, such as '0.3'"


def _a(keys: str) -> str:
    return f"budgets: {{a: {{{keys}}}}}"


def _counts(keys: str) -> str:
    return _a(f"max_calls: 1, {keys}")


# What is wrong with a file -> what it holds, and the sentence after the name of the file.
WRONG_FILES = {
    "empty": ("", "must hold keys with values, such as budgets: {quick: {max_calls: 5}}"),
    "a-list": ("[]", "must hold keys with values, such as budgets: {quick: {max_calls: 5}}"),
    "a-word": ("enforce", "must hold keys with values, such as budgets: {quick: {max_calls: 5}}"),
    "nothing-but-comments": (
        "# budgets",
        "must hold keys with values, such as budgets: {quick: {max_calls: 5}}",
    ),
    "unknown-key": (
        "budgetz: {}",
        (
            "budgetz: is not a key this version knows; allowed are version, unknown_model, "
            "prices, budgets; did you mean budgets?"
        ),
    ),
    "unknown-key-like-none": (
        "limits: {}",
        (
            "limits: is not a key this version knows; allowed are version, unknown_model, "
            "prices, budgets"
        ),
    ),
    "a-key-that-is-null": ("~: 1", "holds a key that is no text; write the key in quotes"),
    "version": (
        "version: 2\nbudgets: {a: {max_calls: 1}}",
        "version: is '2', this otelbudget reads 1",
    ),
    "version-true": (
        "version: true\nbudgets: {a: {max_calls: 1}}",
        "version: is True, this otelbudget reads 1",
    ),
    "version-null": (
        "version:\nbudgets: {a: {max_calls: 1}}",
        "version: is None, this otelbudget reads 1",
    ),
    "unknown-model": (
        "unknown_model: free\nbudgets: {a: {max_calls: 1}}",
        "unknown_model: is 'free', allowed are ceiling, deny, allow",
    ),
    "unknown-model-true": (
        "unknown_model: true\nbudgets: {a: {max_calls: 1}}",
        "unknown_model: is True, allowed are ceiling, deny, allow",
    ),
    "no-budgets": (
        "version: 1",
        "budgets: must hold keys with values, such as quick: {max_calls: 5}",
    ),
    "budgets-empty": (
        "budgets: {}",
        "budgets: must hold keys with values, such as quick: {max_calls: 5}",
    ),
    "budgets-a-list": (
        "budgets: [{name: a, max_calls: 1}]",
        "budgets: must hold keys with values, such as quick: {max_calls: 5}",
    ),
    "budget-a-number": (
        "budgets: {a: 5}",
        "budgets.a: must hold keys with values, such as max_calls: 20",
    ),
    "budget-null": (
        "budgets: {a: }",
        "budgets.a: must hold keys with values, such as max_calls: 20",
    ),
    "budget-name-too-long": (
        "budgets: {" + "x" * 101 + ": {max_calls: 1}}",
        (
            "budgets.'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx': is "
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx', allowed are 1 to 100 "
            "characters"
        ),
    ),
    "budget-name-empty": (
        "budgets: {'': {max_calls: 1}}",
        "budgets.: is '', allowed are 1 to 100 characters",
    ),
    "no-limit": (
        _a("mode: audit"),
        (
            "budgets.a: a budget needs a limit: cost_usd, tokens, input_tokens, output_tokens, "
            "cache_read_input_tokens, cache_write_input_tokens, reasoning_output_tokens, calls, "
            "tool_calls, seconds or tool_calls_by_name (in a file each with max_ before it)"
        ),
    ),
    "unknown-budget-key": (
        _a("max_cost: 1"),
        (
            f"budgets.a.max_cost: is not a key this version knows; {KEYS}; did you mean "
            f"max_cost_usd?"
        ),
    ),
    "unknown-budget-key-misspelt": (
        _counts("windwo: day"),
        f"budgets.a.windwo: is not a key this version knows; {KEYS}; did you mean window?",
    ),
    "unknown-budget-key-like-none": (
        _counts("zzz: day"),
        f"budgets.a.zzz: is not a key this version knows; {KEYS}",
    ),
    "per-empty": (_counts("per: ''"), f"budgets.a.per: is '', {PER}"),
    "per-empty-list": (_counts("per: []"), f"budgets.a.per: is [], {PER}"),
    "per-nine": (
        _counts("per: [a, b, c, d, e, f, g, h, i]"),
        f"budgets.a.per: is ['a', 'b', 'c', 'd', 'e', 'f', ...], {PER}",
    ),
    "per-twice": (
        _counts("per: [tenant.id, tenant.id]"),
        "budgets.a.per: names 'tenant.id' twice; keep one",
    ),
    "per-a-mapping": (
        _counts("per: {tenant.id: acme}"),
        f"budgets.a.per: is {{'tenant.id': 'acme'}}, {PER}",
    ),
    "per-true": (_counts("per: true"), f"budgets.a.per: is True, {PER}"),
    "per-quoted": (_counts("per: 'a\"b'"), f"budgets.a.per: is 'a\"b', {PER}"),
    "per-control-character": (_counts('per: "a\\nb"'), f"budgets.a.per: is 'a\\nb', {PER}"),
    "per-long": (
        _counts("per: " + "k" * 201),
        f"budgets.a.per: is 'kkkkkkkkkkkkkkkkkkkkkkkkkkk...kkkkkkkkkkkkkkkkkkkkkkkkkkkk', {PER}",
    ),
    "per-null-in-list": (_counts("per: [~]"), f"budgets.a.per: is [None], {PER}"),
    "mode": (_counts("mode: loud"), "budgets.a.mode: is 'loud', allowed are off, audit, enforce"),
    "mode-on": (_counts("mode: on"), "budgets.a.mode: is 'on', allowed are off, audit, enforce"),
    "mode-true": (
        _counts("mode: true"),
        "budgets.a.mode: is True, allowed are off, audit, enforce",
    ),
    "mode-list": (
        _counts("mode: [enforce]"),
        "budgets.a.mode: is ['enforce'], allowed are off, audit, enforce",
    ),
    "where-a-word": (
        _counts("where: checkout"),
        "budgets.a.where: must hold keys with values, such as service.name: checkout",
    ),
    "where-a-list": (
        _counts("where: [service.name]"),
        "budgets.a.where: must hold keys with values, such as service.name: checkout",
    ),
    "where-empty": (
        _counts("where: {}"),
        "budgets.a.where: must hold keys with values, such as service.name: checkout",
    ),
    "where-null": (
        _counts("where: {service.name: }"),
        (
            "budgets.a.where.service.name: is None, allowed are a value of at most 200 "
            "characters or a list of them"
        ),
    ),
    "where-no-values": (
        _counts("where: {service.name: []}"),
        (
            "budgets.a.where.service.name: is [], allowed are a value of at most 200 characters "
            "or a list of them"
        ),
    ),
    "where-a-mapping": (
        _counts("where: {service.name: {is: checkout}}"),
        (
            "budgets.a.where.service.name: is {'is': 'checkout'}, allowed are a value of at most "
            "200 characters or a list of them"
        ),
    ),
    "where-a-null-value": (
        _counts("where: {service.name: [checkout, ~]}"),
        (
            "budgets.a.where.service.name: is ['checkout', None], allowed are a value of at most "
            "200 characters or a list of them"
        ),
    ),
    "where-key": (
        _counts("where: {'a\"b': 1}"),
        (
            "budgets.a.where: holds the key 'a\"b', allowed are keys of 1 to 200 characters "
            "without double quotes and control characters"
        ),
    ),
    "where-value-long": (
        _counts("where: {a: " + "v" * 201 + "}"),
        (
            "budgets.a.where.a: is 'vvvvvvvvvvvvvvvvvvvvvvvvvvv...vvvvvvvvvvvvvvvvvvvvvvvvvvvv', "
            "allowed are a value of at most 200 characters or a list of them"
        ),
    ),
    "shares-value-long": (
        _counts("shares: {a: {" + "v" * 201 + ": 0.5}}"),
        (
            "budgets.a.shares.a: holds the value "
            "'vvvvvvvvvvvvvvvvvvvvvvvvvvv...vvvvvvvvvvvvvvvvvvvvvvvvvvvv', allowed are values of "
            "at most 200 characters"
        ),
    ),
    "shares-value-null": (
        _counts("shares: {a: {~: 0.5}}"),
        "budgets.a.shares.a: holds the value None, allowed are values of at most 200 characters",
    ),
    "window": (_counts("window: daily"), f"budgets.a.window: is 'daily', {WINDOW}"),
    "window-a-number": (_counts("window: 90"), f"budgets.a.window: is '90', {WINDOW}"),
    "window-zero": (_counts("window: 0s"), f"budgets.a.window: is '0s', {WINDOW}"),
    "window-too-long": (_counts("window: 367d"), f"budgets.a.window: is '367d', {WINDOW}"),
    "window-a-list": (_counts("window: [day]"), f"budgets.a.window: is a list, {WINDOW}"),
    "window-sexagesimal": (_counts("window: 1:30"), f"budgets.a.window: is '1:30', {WINDOW}"),
    "timezone-alone": (
        _counts("timezone: Europe/Berlin"),
        "budgets.a.timezone: needs a calendar window; write window: hour, day, week or month",
    ),
    "timezone-of-a-rolling-window": (
        _counts("window: 24h, timezone: UTC"),
        ("budgets.a.timezone: needs a calendar window (hour, day, week or month), and '24h' rolls"),
    ),
    "timezone-unknown": (
        _counts("window: day, timezone: Mars/Olympus"),
        f"budgets.a.timezone: is 'Mars/Olympus', {ZONE}",
    ),
    "timezone-misspelt": (
        _counts("window: day, timezone: europe/berlin"),
        f"budgets.a.timezone: is 'europe/berlin', did you mean 'Europe/Berlin'; {ZONE}",
    ),
    "timezone-a-path": (
        _counts("window: day, timezone: ../../etc/passwd"),
        f"budgets.a.timezone: is '../../etc/passwd', {ZONE}",
    ),
    "timezone-a-list": (
        _counts("window: day, timezone: [UTC]"),
        f"budgets.a.timezone: is a list, {ZONE}",
    ),
    "cost-negative": (_a("max_cost_usd: -1"), f"budgets.a.max_cost_usd: is '-1', {USD}"),
    "cost-too-large": (_a("max_cost_usd: 9223373"), f"budgets.a.max_cost_usd: is '9223373', {USD}"),
    "cost-too-fine": (
        _a("max_cost_usd: 0.0000000000001"),
        f"budgets.a.max_cost_usd: is '0.0000000000001', {USD}",
    ),
    "cost-no-number": (_a("max_cost_usd: ten"), f"budgets.a.max_cost_usd: is 'ten', {USD}"),
    "cost-with-a-sign": (_a("max_cost_usd: $5"), f"budgets.a.max_cost_usd: is '$5', {USD}"),
    "cost-nan": (_a("max_cost_usd: .nan"), f"budgets.a.max_cost_usd: is '.nan', {USD}"),
    "cost-huge": (_a("max_cost_usd: 1e999999"), f"budgets.a.max_cost_usd: is '1e999999', {USD}"),
    "cost-list": (
        _a("max_cost_usd: [1]"),
        (
            "budgets.a.max_cost_usd: is ['1']; write US dollars as text, such as '0.25', so that "
            "they are exact"
        ),
    ),
    "cost-null": (
        _a("max_cost_usd: "),
        "budgets.a.max_cost_usd: has no value; write one or leave the key out",
    ),
    "cost-a-float-by-tag": (
        _a("max_cost_usd: !!float 0.5"),
        (
            "budgets.a.max_cost_usd: is 0.5; write US dollars as text, such as '0.25', so that "
            "they are exact"
        ),
    ),
    "tokens-fraction": (_a("max_tokens: 1.5"), f"budgets.a.max_tokens: is '1.5', {WHOLE}"),
    "tokens-huge": (
        _a("max_tokens: 1e999999999"),
        f"budgets.a.max_tokens: is '1e999999999', {WHOLE}",
    ),
    "tokens-above-int64": (
        _a("max_tokens: 9223372036854775808"),
        f"budgets.a.max_tokens: is '9223372036854775808', {WHOLE}",
    ),
    "tokens-too-long": (
        _a("max_tokens: " + "9" * 5_000),
        (
            f"budgets.a.max_tokens: is "
            f"'999999999999999999999999999...9999999999999999999999999999', {WHOLE}"
        ),
    ),
    "input-tokens": (_a("max_input_tokens: few"), f"budgets.a.max_input_tokens: is 'few', {WHOLE}"),
    "output-tokens": (_a("max_output_tokens: -5"), f"budgets.a.max_output_tokens: is -5, {WHOLE}"),
    "cache-read": (
        _a("max_cache_read_input_tokens: {}"),
        f"budgets.a.max_cache_read_input_tokens: is {{}}, {WHOLE}",
    ),
    "cache-write": (
        _a("max_cache_write_input_tokens: 0.5"),
        f"budgets.a.max_cache_write_input_tokens: is '0.5', {WHOLE}",
    ),
    "reasoning": (
        _a("max_reasoning_output_tokens: nan"),
        f"budgets.a.max_reasoning_output_tokens: is 'nan', {WHOLE}",
    ),
    "calls-negative": (_a("max_calls: -1"), f"budgets.a.max_calls: is -1, {WHOLE}"),
    "calls-yes": (_a("max_calls: yes"), f"budgets.a.max_calls: is 'yes', {WHOLE}"),
    "calls-true": (_a("max_calls: true"), f"budgets.a.max_calls: is True, {WHOLE}"),
    "calls-a-date": (_a("max_calls: 2026-99-99"), f"budgets.a.max_calls: is '2026-99-99', {WHOLE}"),
    "calls-sexagesimal": (_a("max_calls: 1:30"), f"budgets.a.max_calls: is '1:30', {WHOLE}"),
    "steps": (_a("max_steps: x"), f"budgets.a.max_steps: is 'x', {WHOLE}"),
    "nested-tool-calls": (
        _a("max_nested_tool_calls: x"),
        f"budgets.a.max_nested_tool_calls: is 'x', {WHOLE}",
    ),
    "no-value": (
        _a("max_tokens: 1, max_calls: "),
        "budgets.a.max_calls: has no value; write one or leave the key out",
    ),
    "one-limit-twice": (
        _counts("max_steps: 2"),
        "budgets.a.max_steps: sets the same limit as max_calls; keep one",
    ),
    "one-tool-limit-twice": (
        _a("max_nested_tool_calls: 1, max_tool_calls: 2"),
        "budgets.a.max_tool_calls: sets the same limit as max_nested_tool_calls; keep one",
    ),
    "tools-a-number": (
        _a("max_tool_calls_by_name: 3"),
        "budgets.a.max_tool_calls_by_name: must hold keys with values, such as web_search: 3",
    ),
    "tools-empty": (
        _a("max_tool_calls_by_name: {}"),
        "budgets.a.max_tool_calls_by_name: must hold keys with values, such as web_search: 3",
    ),
    "tools-fraction": (
        _a("max_tool_calls_by_name: {web_search: 1.5}"),
        f"budgets.a.max_tool_calls_by_name.web_search: is '1.5', {WHOLE}",
    ),
    "tools-null": (
        _a("max_tool_calls_by_name: {web_search: }"),
        f"budgets.a.max_tool_calls_by_name.web_search: is None, {WHOLE}",
    ),
    "tools-no-name": (
        _a("max_tool_calls_by_name: {'': 1}"),
        (
            "budgets.a.max_tool_calls_by_name: holds the key '', allowed are keys of 1 to 200 "
            "characters without double quotes and control characters"
        ),
    ),
    "seconds-negative": (_a("max_seconds: -1"), f"budgets.a.max_seconds: is '-1', {SECONDS}"),
    "seconds-sexagesimal": (
        _a("max_seconds: 1:30"),
        f"budgets.a.max_seconds: is '1:30', {SECONDS}",
    ),
    "seconds-with-unit": (_a("max_seconds: 10s"), f"budgets.a.max_seconds: is '10s', {SECONDS}"),
    "seconds-too-fine": (
        _a("max_seconds: 0.0000000001"),
        f"budgets.a.max_seconds: is '0.0000000001', {SECONDS}",
    ),
    "seconds-too-long": (
        _a("max_seconds: 9223372037"),
        f"budgets.a.max_seconds: is '9223372037', {SECONDS}",
    ),
    "seconds-per-tenant": (_a("max_seconds: 10, per: tenant.id"), f"budgets.a.max_seconds: {TIME}"),
    "seconds-per-list": (
        _a("max_seconds: 10, per: [trace, agent]"),
        f"budgets.a.max_seconds: {TIME}",
    ),
    "seconds-in-a-window": (
        _a("max_seconds: 10, per: run, window: day"),
        f"budgets.a.max_seconds: {TIME}",
    ),
    "warn-at-a-number": (_counts("warn_at: 0.5"), f"budgets.a.warn_at: is '0.5', {RATIOS}"),
    "warn-at-zero": (_counts("warn_at: [0]"), f"budgets.a.warn_at: is ['0'], {RATIOS}"),
    "warn-at-above-1": (_counts("warn_at: [1.1]"), f"budgets.a.warn_at: is ['1.1'], {RATIOS}"),
    "warn-at-percent": (_counts("warn_at: [80%]"), f"budgets.a.warn_at: is ['80%'], {RATIOS}"),
    "warn-at-nan": (_counts("warn_at: [sNaN]"), f"budgets.a.warn_at: is ['sNaN'], {RATIOS}"),
    "warn-at-word": (_counts("warn_at: [half]"), f"budgets.a.warn_at: is ['half'], {RATIOS}"),
    "warn-at-nested": (_counts("warn_at: [[0.5]]"), f"budgets.a.warn_at: is [['0.5']], {RATIOS}"),
    "shares-a-list": (
        _counts("shares: [0.5, 0.5]"),
        ("budgets.a.shares: must hold keys with values, such as otelbudget.priority: {batch: 0.7}"),
    ),
    "shares-flat": (
        _counts("shares: {batch: 0.7}"),
        "budgets.a.shares.batch: must hold values with their shares, such as batch: 0.7",
    ),
    "shares-empty": (
        _counts("shares: {otelbudget.priority: {}}"),
        (
            "budgets.a.shares.otelbudget.priority: must hold values with their shares, such as "
            "batch: 0.7"
        ),
    ),
    "shares-zero": (
        _counts("shares: {otelbudget.priority: {batch: 0}}"),
        f"budgets.a.shares.otelbudget.priority.batch: is '0', {SHARE}",
    ),
    "shares-above-1": (
        _counts("shares: {otelbudget.priority: {batch: 1.5}}"),
        f"budgets.a.shares.otelbudget.priority.batch: is '1.5', {SHARE}",
    ),
    "shares-null": (
        _counts("shares: {otelbudget.priority: {batch: }}"),
        f"budgets.a.shares.otelbudget.priority.batch: is None, {SHARE}",
    ),
    "shares-too-fine": (
        _counts("shares: {otelbudget.priority: {batch: 0.0000000000001}}"),
        f"budgets.a.shares.otelbudget.priority.batch: is '0.0000000000001', {SHARE}",
    ),
    "shares-add-up": (
        _counts("shares: {gen_ai.agent.name: {supervisor: 0.5, worker: 0.6}}"),
        (
            "budgets.a.shares.gen_ai.agent.name: adds up to 1.1, allowed is at most 1; leave a "
            "value out, it may then use all of the budget, or write a second budget"
        ),
    ),
    "reserve": (_counts("reserve: 1"), "budgets.a.reserve: is '1', allowed are true and false"),
    "reserve-word": (
        _counts("reserve: maybe"),
        "budgets.a.reserve: is 'maybe', allowed are true and false",
    ),
    "grace": (_counts("grace: -1"), f"budgets.a.grace: is -1, {WHOLE}"),
    "grace-null": (
        _counts("grace: "),
        "budgets.a.grace: has no value; write one or leave the key out",
    ),
    "cancel-in-flight": (
        _counts("cancel_in_flight: []"),
        "budgets.a.cancel_in_flight: is [], allowed are true and false",
    ),
    "on-store-error": (
        _counts("on_store_error: raise"),
        "budgets.a.on_store_error: is 'raise', allowed are allow, block, local",
    ),
    "one-key-twice": (
        _counts("max_calls: 2"),
        "budgets.a.max_calls: is given twice (line 1); keep one",
    ),
    "one-budget-twice": (
        "budgets:\n  a: {max_calls: 1}\n  a: {max_calls: 2}",
        "budgets.a: is given twice (line 3); keep one",
    ),
    "one-share-twice": (
        _counts("shares: {otelbudget.priority: {batch: 0.1, batch: 0.2}}"),
        "budgets.a.shares.otelbudget.priority.batch: is given twice (line 1); keep one",
    ),
    "endless-aliases": (_counts("per: &a [*a]"), f"budgets.a.per: is [[[...]]], {PER}"),
    "prices": (
        "prices: {modelz: {}}\nbudgets: {a: {max_calls: 1}}",
        (
            "prices.modelz: is not a key this version knows; allowed are aliases, free, "
            "discounts, multipliers, models"
        ),
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_answered_with_one_sentence(tmp_path: Path, case: str) -> None:
    content, sentence = WRONG_FILES[case]
    file = tmp_path / "budgets.yaml"
    file.write_text(content, "utf-8")
    with pytest.raises(BudgetConfigError) as refusal:
        Budgets.from_yaml(file)

    assert str(refusal.value) == f"{file}: {sentence}"


# Wrong by rules that the published schema cannot say, or read otherwise by a reader of YAML 1.1.
BEYOND_THE_SCHEMA = {
    *("per-twice", "window-too-long", "shares-add-up"),
    *("timezone-unknown", "timezone-misspelt", "timezone-a-path"),
    *("cost-too-fine", "cost-nan", "cost-huge", "cost-a-float-by-tag", "tokens-huge"),
    *("seconds-too-fine", "shares-too-fine", "calls-sexagesimal", "seconds-sexagesimal"),
    *("one-key-twice", "one-budget-twice", "one-share-twice"),
    *("tokens-too-long", "calls-a-date", "shares-value-null"),
}


@pytest.mark.parametrize("case", sorted(WRONG_FILES.keys() - BEYOND_THE_SCHEMA))
def test_the_published_schema_refuses_a_wrong_file_too(case: str) -> None:
    schema = Path(__file__).parents[2] / "docs" / "budgets.schema.json"
    validator = Draft202012Validator(json.loads(schema.read_text("utf-8")))

    assert not validator.is_valid(yaml.safe_load(WRONG_FILES[case][0]))


NO_YAML: dict[str, bytes] = {
    "open-brace": b"{",
    "tab": b"\t",
    "no-utf-8": b"\xff\xfe",
    "null-byte": b"\x00",
    "two-documents": b"a: 1\n---\nb: 2",
    "a-python-object": b"budgets: {a: {max_calls: !!python/object:os.system x}}",
    "a-key-that-is-a-list": b"budgets: {? [a] : {max_calls: 1}}",
    "an-alias-of-nothing": b"budgets: {a: *b}",
    "a-merge-of-a-word": b"budgets: {a: {<<: b}}",
    "too-deep": b"- " * 5_000,
}


@pytest.mark.parametrize("case", NO_YAML)
def test_what_is_no_yaml_is_said_in_one_line(tmp_path: Path, case: str) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_bytes(NO_YAML[case])
    with pytest.raises(BudgetConfigError) as refusal:
        Budgets.from_yaml(file)

    assert str(refusal.value).startswith(f"{file}: is no YAML: ")
    assert "\n" not in str(refusal.value)


def test_a_file_of_more_than_a_mebibyte_is_no_budgets_file(tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(BudgetConfigError) as refusal:
        Budgets.from_yaml(file)

    assert str(refusal.value) == f"{file}: is larger than 1 MiB, so it is no budgets file"


@pytest.mark.parametrize("path", ["/no/such/file", "/", "/dev/zero", "a\0b"])
def test_a_path_that_is_no_budgets_file_is_named(path: str) -> None:
    with pytest.raises(BudgetConfigError) as refusal:
        Budgets.from_yaml(path)

    assert refusal.value.path == path
