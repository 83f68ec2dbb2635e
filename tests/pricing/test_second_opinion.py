"""tokencost is asked only where that was asked for, and never imported for its prices."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType

import pytest

from otelbudget.pricing import second_opinion, tokens
from otelbudget.pricing.book import PriceBook, PriceConfidence
from otelbudget.pricing.second_opinion import TokencostMissingError, TokencostPrices
from otelbudget.pricing.tokens import CountedBy, estimate_input_tokens

TABLE = {
    "sample_spec": {"input_cost_per_token": "how much"},
    "Only-Theirs": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1.5e-07,
        "output_cost_per_token": 6e-07,
        "cache_read_input_token_cost": 7.5e-08,
    },
    "azure/their-deployment": {
        "litellm_provider": "azure",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
    },
    "nobody-knows": {
        "litellm_provider": "openai",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
    },
    "gpt-4o": {
        "litellm_provider": "openai",
        "input_cost_per_token": 9e-06,
        "output_cost_per_token": 9e-06,
    },
}


class _Installed:
    """What importlib.metadata says of an installed tokencost."""

    version = "0.1.26"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def locate_file(self, path: str) -> Path:
        return self._folder / path


@pytest.fixture
def tokencost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokencostPrices]:
    folder = tmp_path / "tokencost"
    folder.mkdir()
    (folder / "model_prices.json").write_text(json.dumps(TABLE), "utf-8")
    monkeypatch.setattr(second_opinion, "distribution", lambda _: _Installed(tmp_path))
    yield TokencostPrices.load()
    assert "tokencost" not in sys.modules


def test_a_model_the_book_does_not_know_gets_tokencosts_price(tokencost: TokencostPrices) -> None:
    book = PriceBook.load(fallback=tokencost)
    price = book.price("openai", "only-theirs", 0)

    assert price is not None
    assert (price.matched, price.confidence) == (
        "tokencost/only-theirs",
        PriceConfidence.FALLBACK,
    )
    # 0.15, 0.60 and 0.075 USD/Mtok
    assert (
        price.input_pusd_per_token,
        price.output_pusd_per_token,
        price.cache_read_pusd_per_token,
    ) == (150_000, 600_000, 75_000)
    assert "froze in 2025-09" in price.source


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param("openai", "nobody-knows", id="a price of zero is none"),
        pytest.param("anthropic", "only-theirs", id="of another provider"),
        pytest.param("azure", "team-only-theirs", id="a deployment's name"),
        pytest.param("openai", "sample_spec", id="the table's own sample"),
    ],
)
def test_what_tokencost_does_not_know_stays_unknown(
    provider: str, model: str, tokencost: TokencostPrices
) -> None:
    assert PriceBook.load(fallback=tokencost).price(provider, model, 0) is None


def test_the_book_comes_first(tokencost: TokencostPrices) -> None:
    price = PriceBook.load(fallback=tokencost).price("openai", "gpt-4o", 1_795_000_000 * 10**9)

    assert price is not None
    assert price.input_pusd_per_token == 2_500_000


def test_another_source_changes_the_fingerprint(tokencost: TokencostPrices) -> None:
    other = PriceBook.load(fallback=tokencost)

    assert other.fingerprint() == PriceBook.load().fingerprint() + " fallback tokencost 0.1.26"


def test_a_tokencost_that_is_not_installed_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(second_opinion, "distribution", missing)

    with pytest.raises(TokencostMissingError, match=r"otelbudget\[tokencost\]"):
        TokencostPrices.load()


def test_importing_otelbudget_imports_no_tokencost() -> None:
    program = (
        "import sys, otelbudget, otelbudget.pricing.second_opinion, otelbudget.pricing.tokens;"
        "from otelbudget import BudgetSpanProcessor;"
        "sys.exit('tokencost' in sys.modules or 'tiktoken' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)

    assert done.returncode == 0


HELLO = [{"role": "user", "content": "Hello"}]


def test_tokens_are_counted_by_length_where_nothing_better_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    # "user" 2 + "Hello" 2, at three bytes a token rounded up; 4 for the message, 3 for the reply
    assert estimate_input_tokens("gpt-4o", HELLO) == (11, CountedBy.BYTES)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        pytest.param(None, 9, id="nothing"),
        pytest.param([{"type": "text", "text": "Hello"}], 9 + 2 + 2, id="a list of parts"),
        pytest.param(
            [{"type": "image_url", "image_url": {"url": "data:" + "x" * 90_000}}],
            9 + 1_000,
            id="a picture is not its bytes",
        ),
        pytest.param("\ud800", 9 + 1, id="half a character"),
        pytest.param(12_345, 9 + 2, id="a number"),
    ],
)
def test_any_content_can_be_counted(content: object, count: int) -> None:
    counted, how = estimate_input_tokens("claude-opus-5", [{"role": "user", "content": content}])

    assert (counted, how) == (count, CountedBy.BYTES)


@pytest.fixture
def encodings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of tiktoken that holds what it should, and a tokencost that counts to seven."""
    known = {}
    for url in tokens._ENCODINGS:  # noqa: SLF001 - the files themselves are megabytes
        (tmp_path / hashlib.sha1(url.encode()).hexdigest()).write_bytes(b"words")  # noqa: S324 - a name
        known[url] = hashlib.sha256(b"words").hexdigest()
    monkeypatch.setattr(tokens, "_ENCODINGS", known)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    module = ModuleType("tokencost")
    module.__dict__["count_message_tokens"] = _count
    monkeypatch.setitem(sys.modules, "tokencost", module)
    monkeypatch.setattr(tokens, "find_spec", lambda _: True)


def _count(messages: list[dict[str, str]], model: str) -> int:
    if model == "gpt-4.9":
        raise KeyError(model)
    return 7 * len(messages)


@pytest.mark.usefixtures("encodings")
@pytest.mark.parametrize(
    ("model", "how"),
    [
        ("gpt-4o", CountedBy.TOKENCOST),
        ("gpt-4.9", CountedBy.BYTES),
        ("claude-opus-5", CountedBy.BYTES),
    ],
)
def test_tokencost_counts_what_it_can_where_its_files_are_on_disk(
    model: str, how: CountedBy
) -> None:
    assert estimate_input_tokens(model, HELLO)[1] is how


@pytest.mark.usefixtures("encodings")
def test_a_damaged_file_of_tiktoken_is_not_used(tmp_path: Path) -> None:
    """It would be fetched again."""
    next(path for path in tmp_path.iterdir() if path.is_file()).write_bytes(b"wor")

    assert estimate_input_tokens("gpt-4o", HELLO)[1] is CountedBy.BYTES
