"""The gate of the openai SDK: chat completions, completions, responses and embeddings."""

import functools
from typing import Any
from urllib.parse import urlsplit

from otelbudget.live.gates import stainless

_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/responses/compact": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
}

# Providers by the host of the client's base URL.
# Source: the providers' API references, 2026-11.
_PROVIDERS = {
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral_ai",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
_OLLAMA_PORT = 11434


def install(openai: Any) -> None:
    """Put the gate around the clients of an imported openai module, those of Azure included."""
    stainless.install(
        openai,
        stainless.Api(
            _OPERATIONS, lambda client: provider_of(str(getattr(client, "base_url", "")))
        ),
    )


@functools.lru_cache(maxsize=256)
def provider_of(base_url: str) -> str:
    """The provider that serves a base URL, in the words of the conventions; "openai" by default."""
    address = urlsplit(base_url)
    host = address.hostname or ""
    if host.endswith((".openai.azure.com", ".azure.com")):
        return "azure.ai.openai"
    if address.port == _OLLAMA_PORT:
        return "ollama"
    return _PROVIDERS.get(host, "openai")
