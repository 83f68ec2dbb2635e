import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otelbudget.pricing.book import PriceBook, PriceConfidence

NOW_NS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 10**9


def found(provider: str | None, model: str | None) -> str | None:
    price = PriceBook.load().price(provider, model, NOW_NS)
    return None if price is None else f"{price.matched} {price.confidence}"


@pytest.mark.parametrize(
    ("provider", "model", "row"),
    [
        ("openai", "gpt-4.1-mini-2025-04-14", "openai/gpt-4.1-mini"),
        ("OpenAI", "GPT-4o", "openai/gpt-4o"),
        ("openai.responses", "gpt-5", "openai/gpt-5"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme:support:AbC123", "openai/ft:gpt-4o-mini"),
        ("anthropic", "claude-opus-4-1-20250805", "anthropic/claude-opus-4-1"),
        ("gcp.gemini", "gemini-2.5-flash-lite", "google/gemini-2.5-flash-lite"),
        ("google_genai", "gemini-2.5-flash-lite", "google/gemini-2.5-flash-lite"),
        ("vertex_ai", "claude-sonnet-4@20250514", "google/claude-4-sonnet"),
        ("mistralai", "mistral-large-2411", "mistral/mistral-large"),
        ("x_ai", "grok-3", "x-ai/grok-3"),
        ("xai.chat", "grok-3", "x-ai/grok-3"),
        ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("openrouter", "anthropic/claude-3.7-sonnet", "openrouter/anthropic/claude-3.7-sonnet"),
        ("aws.bedrock", "us.amazon.nova-pro-v1:0", "aws/amazon.nova-pro-v1:0"),
    ],
)
def test_a_name_the_book_knows_is_exact(provider: str, model: str, row: str) -> None:
    assert found(provider, model) == f"{row} exact"


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("text-embedding-3-small", "openai/text-embedding-3-small"),
        ("claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("gemini-3.5-flash", "google/gemini-3.5-flash"),
        ("grok-4", "x-ai/grok-4-0709"),
        ("us.anthropic.claude-sonnet-4-6", "aws/regional.anthropic.claude-sonnet-4-6-v1:0"),
        (
            "anthropic.claude-3-haiku-20240307-v1:0",
            "aws/regional.anthropic.claude-3-haiku-20240307-v1:0",
        ),
    ],
)
@pytest.mark.parametrize("provider", [None, "", "unknown", "langchain", "strands-agents"])
def test_a_model_tells_its_provider_where_the_span_does_not(
    provider: str | None, model: str, row: str
) -> None:
    assert found(provider, model) == f"{row} exact"


@pytest.mark.parametrize(
    ("provider", "model", "row"),
    [
        ("gcp.gemini", "models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gcp.vertex_ai", "google/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        (
            None,
            "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro",
            "google/gemini-2.5-pro",
        ),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-west-2:1:inference-profile/global.anthropic.claude-opus-5",
            "aws/global.anthropic.claude-opus-5",
        ),
        (
            None,
            "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "aws/regional.anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
        (
            "aws.bedrock",
            "ca.anthropic.claude-opus-5",
            "aws/regional.anthropic.claude-opus-5",
        ),
        ("openai", "gpt-5.2-20251211", "openai/gpt-5.2"),
        ("openai", "ft:gpt-4o-mini:org::id", "openai/ft:gpt-4o-mini"),
        ("openai", "openai/gpt-4o", "openai/gpt-4o"),
        (None, "openai/gpt-4o", "openai/gpt-4o"),
        ("litellm", "openai/gpt-5", "openai/gpt-5"),
        ("crewai", "anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("litellm", "groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("gcp.vertex.agent", "vertex_ai/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gcp.vertex_ai", "gemini-2.0-flash@001", "google/gemini-2.0-flash"),
        (None, "openai/responses/gpt-5", "openai/gpt-5"),
        ("openai", "responses/gpt-5", "openai/gpt-5"),
        (None, "openai:gpt-4o", "openai/gpt-4o"),
        ("anthropic", "anthropic:claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        (None, "google-gla:gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("litellm", "litellm_proxy/openai/gpt-4o", "openai/gpt-4o"),
        (
            "openrouter",
            "anthropic/claude-3-7-sonnet-20250219",
            "openrouter/anthropic/claude-3.7-sonnet",
        ),
        ("openrouter", "openai/gpt-4o:nitro", "openrouter/openai/gpt-4o"),
        (
            "aws.bedrock",
            "anthropic.claude-sonnet-4-5",
            "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            None,
            "eu.anthropic.claude-3-7-sonnet-v1:0",
            "aws/regional.anthropic.claude-3-7-sonnet-20250219-v1:0",
        ),
        (
            "aws.bedrock",
            "arn:aws-cn:bedrock:cn-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            "aws/regional.anthropic.claude-3-haiku-20240307-v1:0",
        ),
    ],
)
def test_a_rewritten_name_is_normalised(provider: str | None, model: str, row: str) -> None:
    assert found(provider, model) == f"{row} normalised"


@pytest.mark.parametrize("provider", ["anthropic", "openai", "strands-agents", None, "aws.bedrock"])
def test_a_bedrock_id_is_bedrock_whatever_the_provider_says(provider: str | None) -> None:
    """The regional rate is a tenth above Anthropic's own: 3.30 for 3.00 USD/Mtok."""
    price = PriceBook.load().price(provider, "eu.anthropic.claude-sonnet-4-6", NOW_NS)

    assert price is not None
    assert (price.provider, price.input_pusd_per_token) == ("aws", 3_300_000)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-35-turbo", "claude-sonnet-4-5"])
def test_azure_resells_at_the_rates_of_the_models_maker(model: str) -> None:
    price = PriceBook.load().price("azure.ai.openai", model, NOW_NS)

    assert price is not None
    assert price.confidence is PriceConfidence.NORMALISED
    assert price.provider in {"openai", "anthropic"}


@pytest.mark.parametrize(
    "deployment",
    ["my-prod-gpt4o-deployment", "chat-eastus2", "team-o4-mini", "content-moderation", "gpt4o"],
)
def test_an_azure_deployment_name_has_no_price(deployment: str) -> None:
    assert found("azure.ai.openai", deployment) is None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("ollama", "llama3.2:3b"),
        ("ollama.chat", "llama3.2:3b"),
        ("vllm", "meta-llama/Llama-3.1-8B-Instruct"),
        ("lmstudio", "gpt-4o"),
        ("llama.cpp", None),
        (None, "ollama/llama3"),
        ("litellm", "hosted_vllm/qwen3"),
    ],
)
def test_a_server_of_ones_own_is_free(provider: str | None, model: str | None) -> None:
    assert found(provider, model) == "local/free free"


def test_a_model_given_away_is_free() -> None:
    assert (
        found("openrouter", "deepseek/deepseek-r1:free")
        == "openrouter/deepseek/deepseek-r1:free free"
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (None, None),
        (None, ""),
        ("openai", None),
        ("openai", "unknown"),
        ("openai", "gpt-4o-foobar"),
        ("openai", "gpt-5-superduper"),
        ("anthropic", "claude-sonnet-9"),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::id"),
        ("openai", "anthropic/claude-sonnet-4-5"),
        (None, "meta-llama/Llama-3.1-8B-Instruct"),
        (None, "llama3.2"),
        ("google", "gemma-3-27b-it"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123"),
        ("groq", "llama-99-900b"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:provisioned-model/abc123"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-lite-v1:0/abc"),
        (None, "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/gpt-4o"),
        (None, "azure/eu/gpt-4o-2024-08-06"),
        ("openrouter", "openai/gpt-4o:unheard-of"),
        (None, "team:gpt-4o"),
    ],
)
def test_what_nobody_can_know_has_no_price(provider: str | None, model: str | None) -> None:
    assert found(provider, model) is None


def test_a_provider_nobody_knows_is_priced_as_the_known_model_it_serves() -> None:
    assert found("my-company", "gpt-4o") == "openai/gpt-4o normalised"
    assert found("my-company", "my-model") is None


VARIANTS = Path(__file__).parents[2].joinpath("..", "shared", "facts", "model_variants.json")


@pytest.mark.skipif(not VARIANTS.is_file(), reason="the list of names is not beside the repository")
def test_names_of_the_field_are_found_and_none_wrongly() -> None:
    found = wrong = 0
    variants = json.loads(VARIANTS.read_bytes())
    for variant in variants:
        price = PriceBook.load().price(variant["provider"], variant["model"], NOW_NS)
        if price is None:
            continue
        found += 1
        listed = variant["list_price_usd_per_mtok"] or {}
        rates = {
            "input": price.input_pusd_per_token,
            "output": price.output_pusd_per_token,
            "cache_read": price.cache_read_pusd_per_token,
        }
        wrong += any(
            usd is not None and round(usd * 1_000_000) != rates[name]
            for name, usd in listed.items()
        )

    # Two are names of Azure deployments, which must not be found.
    assert (found, wrong) == (len(variants) - 2, 0)
