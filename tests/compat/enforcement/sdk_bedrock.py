"""botocore's client for models at Bedrock."""

import json
from typing import Any

from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "boto3"
_MODEL = "amazon.nova-pro-v1:0"
_MESSAGES = [{"role": "user", "content": [{"text": "hello"}]}]
_CLAUDE = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
_BODY = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 1_000,
        "messages": [{"role": "user", "content": "hello"}],
    }
)
_LARGE = 100_000


def _client(stage: Stage) -> Any:
    return package("boto3").client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=stage.url,
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - of a fake provider
    )


def _converse(stage: Stage) -> None:
    _client(stage).converse(modelId=_MODEL, messages=_MESSAGES)


def _converse_stream(stage: Stage) -> None:
    list(_client(stage).converse_stream(modelId=_MODEL, messages=_MESSAGES)["stream"])


def _invoke(stage: Stage) -> None:
    _client(stage).invoke_model(modelId=_CLAUDE, body=_BODY)["body"].read()


def _invoke_stream(stage: Stage) -> None:
    client = _client(stage)
    list(client.invoke_model_with_response_stream(modelId=_CLAUDE, body=_BODY)["body"])


SCENARIOS = (
    *with_variants(
        Scenario("converse", _converse, large_input_tokens=_LARGE),
        Scenario("converse_stream", _converse_stream, large_input_tokens=_LARGE),
    ),
    Scenario("invoke_model", _invoke, large_input_tokens=_LARGE),
    Scenario("invoke_model_with_response_stream", _invoke_stream, large_input_tokens=_LARGE),
)
