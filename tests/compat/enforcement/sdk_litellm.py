"""litellm, by its openai and anthropic routes and its Router."""

from typing import Any

from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "litellm"
_HELLO = [{"role": "user", "content": "hello"}]
_STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def _litellm() -> Any:
    litellm = package("litellm")
    litellm.suppress_debug_info = True
    litellm.ssl_verify = False
    litellm.in_memory_llm_clients_cache.flush_cache()
    return litellm


def _openai(stage: Stage) -> dict[str, Any]:
    return {"model": "openai/gpt-4o", "api_base": f"{stage.url}/v1", "api_key": "none"}


def _anthropic(stage: Stage) -> dict[str, Any]:
    return {"model": "anthropic/claude-sonnet-4-5", "api_base": stage.url, "api_key": "none"}


def _completion(stage: Stage) -> None:
    _litellm().completion(messages=_HELLO, **_openai(stage))


async def _acompletion(stage: Stage) -> None:
    await _litellm().acompletion(messages=_HELLO, **_openai(stage))


def _stream(stage: Stage) -> None:
    list(_litellm().completion(messages=_HELLO, **_openai(stage), **_STREAM))


async def _astream(stage: Stage) -> None:
    answer = await _litellm().acompletion(messages=_HELLO, **_openai(stage), **_STREAM)
    [_ async for _ in answer]


def _completion_anthropic(stage: Stage) -> None:
    _litellm().completion(messages=_HELLO, **_anthropic(stage))


async def _acompletion_anthropic(stage: Stage) -> None:
    await _litellm().acompletion(messages=_HELLO, **_anthropic(stage))


async def _astream_anthropic(stage: Stage) -> None:
    answer = await _litellm().acompletion(messages=_HELLO, **_anthropic(stage), **_STREAM)
    [_ async for _ in answer]


def _retries(stage: Stage) -> None:
    _litellm().completion(messages=_HELLO, num_retries=3, **_openai(stage))


def _responses(stage: Stage) -> None:
    _litellm().responses(input="hello", **_openai(stage))


def _router(stage: Stage) -> Any:
    groups = [{"model_name": name, "litellm_params": _openai(stage)} for name in ("one", "two")]
    return _litellm().Router(model_list=groups, num_retries=2, fallbacks=[{"one": ["two"]}])


def _router_completion(stage: Stage) -> None:
    _router(stage).completion(model="one", messages=_HELLO)


async def _router_acompletion(stage: Stage) -> None:
    await _router(stage).acompletion(model="one", messages=_HELLO)


SCENARIOS = (
    *with_variants(
        Scenario("completion", _completion),
        Scenario("acompletion stream", _astream),
    ),
    Scenario("acompletion", _acompletion),
    Scenario("completion stream", _stream),
    Scenario("completion anthropic", _completion_anthropic),
    Scenario("acompletion anthropic", _acompletion_anthropic),
    Scenario("acompletion stream anthropic", _astream_anthropic),
    Scenario("completion num_retries", _retries),
    Scenario("responses", _responses),
    Scenario("Router.completion with retries and fallbacks", _router_completion),
    Scenario("Router.acompletion with retries and fallbacks", _router_acompletion),
)
