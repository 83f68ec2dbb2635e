"""The gate of the anthropic SDK: messages and text completions, also through Bedrock and Vertex."""

from typing import Any

from otelbudget.genai import semconv
from otelbudget.live.gates import stainless

_OPERATIONS = {"/v1/messages": "chat", "/v1/complete": "text_completion"}

# Providers by what a client's class name holds.
# Source: https://github.com/anthropics/anthropic-sdk-python, version 2.12.0.
_PROVIDERS = {
    "Bedrock": semconv.BEDROCK,
    "Vertex": "gcp.vertex_ai",
    "GoogleCloud": "gcp.vertex_ai",
    "Foundry": "azure.ai.inference",
}


def install(anthropic: Any) -> None:
    """Put the gate around the clients of an imported anthropic module."""
    stainless.install(anthropic, stainless.Api(_OPERATIONS, _provider_of))


def _provider_of(client: Any) -> str:
    names = [each.__name__ for each in type(client).__mro__]
    for part, provider in _PROVIDERS.items():
        if any(part in name for name in names):
            return provider
    return "anthropic"
