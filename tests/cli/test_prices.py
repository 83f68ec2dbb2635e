"""budget-audit prices, and the commands that take prices of one's own."""

import json
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec
import pytest

from otelbudget.pricing import second_opinion
from otelbudget.pricing.files import decode_book, encode_book, newest_file, packaged_file
from otelbudget.pricing.price import PriceConfidence
from tests.cli.conftest import Run

TRACES = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"
A_DAY_NS = 86_400 * 10**9

PRICES = """
aliases: {chat-eastus2: azure/gpt-4o}
discounts: {azure: 0.15}
models:
  openai/gpt-4o-mini: {input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}
"""


@pytest.fixture
def prices_file(tmp_path: Path) -> Path:
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES, "utf-8")
    return file


def test_a_price_is_one_documented_object(run: Run) -> None:
    ran = run("prices", "show", "gpt-4o", "--at", "2024-06-01", "--format", "json")
    document = ran.json
    corrected = document.pop("source")
    document.pop("service_tiers")

    assert ran.code == 0, ran.err
    assert corrected.startswith("genai-prices 0.2.3, corrected: until 2024-10-02 gpt-4o meant")
    assert document == {
        "schema": "otelbudget.prices/1",
        "provider": "openai",
        "model": "gpt-4o",
        "at": "2024-06-01T00:00:00.000000000Z",
        "matched": "openai/gpt-4o",
        "confidence": "exact",
        "valid_from": "2024-05-13",
        "service_tier": None,
        "rates": {
            "input_usd_per_mtok": "5.00",
            "output_usd_per_mtok": "15.00",
            "cache_read_usd_per_mtok": None,
            "cache_write_usd_per_mtok": None,
        },
        "tiers": [],
    }


def test_larger_requests_and_tiers_of_service_are_shown(run: Run) -> None:
    document = run(
        "prices", "show", "gpt-5.4", "--at", "2026-11-01T10:00:00Z", "--format", "json"
    ).json

    assert [
        (tier["above_input_tokens"], tier["rates"]["input_usd_per_mtok"])
        for tier in document["tiers"]
    ] == [(272_000, "5.00")]
    assert {
        name: (tier["confidence"], tier["valid_from"], tier["rates"]["input_usd_per_mtok"])
        for name, tier in document["service_tiers"].items()
    } == {
        "batch": ("exact", "2026-10-14", "1.25"),
        "flex": ("exact", "2026-10-12", "1.25"),
        "priority": ("exact", "2026-10-12", "5.00"),
        "fast": ("exact", "2026-10-12", "5.00"),
    }


def test_the_price_of_one_tier_of_service_can_be_asked_for(run: Run) -> None:
    document = run(
        "prices",
        "show",
        "gpt-5",
        "--service-tier",
        "flex",
        "--at",
        "2026-11-01",
        "--format",
        "json",
    ).json

    assert (document["service_tier"], document["rates"]["input_usd_per_mtok"]) == ("flex", "0.625")


def test_a_table_tells_rates_and_source(run: Run) -> None:
    ran = run("prices", "show", "o3", "--at", "2025-05-01")

    assert ran.out.startswith("openai/o3 (before_history)\nsource: genai-prices 0.2.3, corrected: ")
    assert "cache_read_usd_per_mtok      2.50" in ran.out


def test_csv_has_a_row_for_every_kind_of_request(run: Run) -> None:
    ran = run("prices", "show", "gpt-5.4", "--at", "2026-11-01", "--format", "csv")
    lines = ran.out.splitlines()

    assert lines[0].startswith("provider,model,matched,service_tier,above_input_tokens,input_usd")
    assert len(lines) == 1 + 2 + 4


def test_a_model_of_a_provider_is_found_as_spans_name_it(run: Run) -> None:
    ran = run(
        *("prices", "show", "us.anthropic.claude-sonnet-4-6", "--provider", "aws.bedrock"),
        *("--at", "2026-11-01", "--format", "json"),
    )

    assert ran.json["matched"] == "aws/regional.anthropic.claude-sonnet-4-6-v1:0"


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_an_unknown_model_is_one_sentence_and_exit_1(format_: str, run: Run) -> None:
    ran = run("prices", "show", "gpt-99", "--provider", "openai", "--format", format_)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "Error: no price is known for model 'gpt-99' of provider 'openai'; check the name and "
        "--provider, or give its price in a prices file (--prices)\n"
    )


def test_prices_of_ones_own_are_shown(run: Run, prices_file: Path) -> None:
    ran = run(
        *("prices", "show", "chat-eastus2", "--provider", "azure.ai.openai"),
        *("--prices", prices_file, "--at", "2026-11-01", "--format", "json"),
    )

    # 2.50 USD/Mtok less 15 %
    assert (ran.json["confidence"], ran.json["rates"]["input_usd_per_mtok"]) == (
        "override",
        "2.125",
    )


def test_a_wrong_prices_file_is_named_with_its_key(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("discounts: {azure: 15}", "utf-8")
    ran = run("prices", "show", "gpt-4o", "--prices", file)

    assert ran.code == 1
    assert ran.err == (
        f"budget-audit: {file}: discounts.azure: is '15', allowed are numbers from 0 to 1 as text or "
        "exact, such as 0.15\n"
    )


def test_an_audit_uses_ones_own_prices_and_says_so(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("multipliers: {openai: 2, anthropic: 2}", "utf-8")
    plain = run("audit", TRACES, "--format", "json").json
    ours = run("audit", TRACES, "--prices", file, "--format", "json").json

    assert plain["prices"]["overrides_hash"] is None
    assert len(ours["prices"]["overrides_hash"]) == 16
    assert Decimal(ours["totals"]["list_cost_usd"]) == 2 * Decimal(plain["totals"]["list_cost_usd"])


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("simulate", TRACES, "--limit", "cost_usd=0.05"), id="simulate"),
        pytest.param(("suggest", TRACES), id="suggest"),
    ],
)
def test_other_commands_use_ones_own_prices(
    arguments: tuple[object, ...], run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("multipliers: {openai: 2, anthropic: 2}", "utf-8")
    plain = run(*arguments, "--format", "json")
    ours = run(*arguments, "--prices", file, "--format", "json")

    assert ours.code == 0, ours.err
    assert ours.out != plain.out


def test_a_replayed_budgets_file_brings_its_prices(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    budgets = "budgets:\n  run: {per: trace, max_cost_usd: 0.05}\n"
    file.write_text(budgets, "utf-8")
    plain = run("simulate", TRACES, "--budgets", file, "--format", "json").json
    file.write_text(budgets + "prices: {multipliers: {openai: 2, anthropic: 2}}\n", "utf-8")
    ours = run("simulate", TRACES, "--budgets", file, "--format", "json").json

    assert ours["totals"]["scopes_stopped"] > plain["totals"]["scopes_stopped"]


def test_old_prices_are_a_warning_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time_ns() + 45 * A_DAY_NS
    monkeypatch.setattr(time, "time_ns", lambda: later)
    shown = run("prices", "show", "gpt-4o", "--format", "json")
    audited = run("audit", TRACES, "--format", "json")
    codes = [warning["code"] for warning in audited.json["input"]["warnings"]]

    assert shown.json["confidence"] == PriceConfidence.STALE
    assert shown.err.startswith("warning: stale_prices: the prices are 45 days old (genai-prices")
    assert codes.count("stale_prices") == 1
    assert audited.err.count("stale_prices") == 1


TABLE = {
    "gpt-4o": {
        "litellm_provider": "openai",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
    },
    "o3": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1e-05,
        "output_cost_per_token": 4e-05,
    },
    "only-theirs": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
    },
}


@pytest.fixture
def tokencost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed tokencost with three models."""
    path = tmp_path / "model_prices.json"
    path.write_text(json.dumps(TABLE), "utf-8")

    class Installed:
        version = "0.1.26"

        def locate_file(self, _: str) -> Path:
            return path

    monkeypatch.setattr(second_opinion, "distribution", lambda _: Installed())


@pytest.mark.usefixtures("tokencost")
def test_a_comparison_with_tokencost_shows_what_differs_and_how_old_each_is(run: Run) -> None:
    document = run(
        "prices", "diff", "--against", "tokencost", "--at", "2026-11-01", "--format", "json"
    ).json

    assert document["ours"]["source"] == "genai-prices 0.2.3"
    assert document["theirs"] == {"source": "tokencost 0.1.26", "dated": "2025-09"}
    assert (document["same"], document["not_in_book"]) == (1, 1)
    assert document["differences"] == [
        {
            "provider": "openai",
            "model": "o3",
            "matched": "openai/o3",
            "ours_input_usd_per_mtok": "2.00",
            "ours_output_usd_per_mtok": "8.00",
            "ours_cache_read_usd_per_mtok": "0.50",
            "theirs_input_usd_per_mtok": "10.00",
            "theirs_output_usd_per_mtok": "40.00",
            "theirs_cache_read_usd_per_mtok": None,
        }
    ]


@pytest.mark.usefixtures("tokencost")
def test_a_comparison_is_a_table_with_both_dates(run: Run) -> None:
    ran = run("prices", "diff", "--against", "tokencost", "--at", "2026-11-01")

    assert "1 models differ, 1 are alike, 1 are not in the book" in ran.out
    assert "theirs: tokencost 0.1.26 (2025-09)" in ran.out
    assert "openai: o3  2.00 / 8.00 / 0.50  10.00 / 40.00 / -" in ran.out


def test_a_comparison_with_the_source_shows_what_is_corrected(run: Run) -> None:
    document = run(
        "prices", "diff", "--against", "genai-prices", "--at", "2026-11-01", "--format", "json"
    ).json

    assert document["same"] > 2_000
    assert {each["matched"] for each in document["differences"]} >= {
        "deepseek/deepseek-chat",
        "deepseek/deepseek-reasoner",
    }
    assert {each["provider"] for each in document["differences"]} == {"deepseek"}


def test_a_comparison_with_what_is_not_installed_names_the_remedy(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(second_opinion, "distribution", missing)
    ran = run("prices", "diff", "--against", "tokencost")

    assert (ran.code, ran.err) == (
        1,
        "Error: tokencost is not installed; run: pip install 'otelbudget[tokencost]'\n",
    )


@pytest.mark.usefixtures("tokencost")
def test_an_audit_can_fall_back_to_tokencost_and_says_which_calls(run: Run, tmp_path: Path) -> None:
    text = TRACES.read_text("utf-8").replace("gpt-4o-mini-2024-07-18", "only-theirs")
    traces = tmp_path / "traces.jsonl"
    traces.write_text(text.replace("gpt-4o-mini", "only-theirs"), "utf-8")
    without = run("audit", traces, "--format", "json").json
    document = run("audit", traces, "--fallback", "tokencost", "--format", "json").json
    (finding,) = [each for each in document["findings"] if each["code"] == "fallback_prices"]

    assert without["totals"]["unpriced_calls"] > 0
    assert document["totals"]["unpriced_calls"] == 0
    assert finding["count"] == without["totals"]["unpriced_calls"]
    assert Decimal(finding["amount_usd"]) == Decimal(document["totals"]["list_cost_usd"]) - Decimal(
        without["totals"]["list_cost_usd"]
    )
    assert "priced by tokencost, whose prices froze in 2025-09" in finding["text"]
    assert "tokencost" not in sys.modules


def test_nothing_is_refreshed_from_a_source_that_is_not_newer(run: Run) -> None:
    ran = run("prices", "refresh")

    assert ran.code == 0
    assert ran.err.startswith("nothing newer is installed than genai-prices 0.2.3")


def test_a_book_is_written_where_asked_with_the_age_of_its_source(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "book.json.gz"
    ran = run("prices", "refresh", "--output", path)

    assert (ran.code, ran.err) == (0, f"wrote {path}\n")
    assert decode_book(path.read_bytes()) == packaged_file()


@pytest.fixture
def own_book_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "otelbudget" / "prices.json.gz"


def test_a_newer_source_becomes_the_users_own_book(
    run: Run, own_book_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelbudget.pricing.compile_book.source_version", lambda: "0.2.10")
    ran = run("prices", "refresh", "--date", "2027-01-05")

    assert (ran.code, ran.err) == (0, f"wrote {own_book_path}\n")
    newest_file.cache_clear()
    try:
        shown = run("prices", "show", "gpt-4o", "--format", "json").json
    finally:
        newest_file.cache_clear()
    assert shown["source"].startswith("genai-prices 0.2.10")
    assert [path.name for path in own_book_path.parent.iterdir()] == [own_book_path.name]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"no book", "is no price book", id="damaged"),
        pytest.param(
            encode_book(msgspec.structs.replace(packaged_file(), schema=1)),
            "has schema 1, this otelbudget reads 2",
            id="of another otelbudget",
        ),
    ],
)
def test_a_book_that_cannot_be_read_is_not_used_and_named(
    content: bytes, reason: str, own_book_path: Path
) -> None:
    own_book_path.parent.mkdir()
    own_book_path.write_bytes(content)
    newest_file.cache_clear()
    try:
        with pytest.warns(match=f"{own_book_path} is not used: {reason}"):
            assert newest_file() == packaged_file()
    finally:
        newest_file.cache_clear()


def test_an_older_book_of_ones_own_is_not_used(own_book_path: Path) -> None:
    older = msgspec.structs.replace(
        packaged_file(), compiled_on=datetime(2026, 1, 1, tzinfo=UTC).date()
    )
    own_book_path.parent.mkdir()
    own_book_path.write_bytes(encode_book(older))
    newest_file.cache_clear()
    try:
        assert newest_file() == packaged_file()
    finally:
        newest_file.cache_clear()
