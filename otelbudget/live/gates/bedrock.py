"""What botocore's clients are about to ask of models at Bedrock, and whether Bedrock refused."""

from typing import Any, NamedTuple
from urllib.parse import unquote

from otelbudget.genai import semconv
from otelbudget.live.gates import active
from otelbudget.live.gates.gated import Passage
from otelbudget.live.request import Request

_SERVICE = "bedrock-runtime"
_OPERATIONS = frozenset(
    {"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"}
)
_ATTEMPTS = {"legacy": 5}
_DEFAULT_ATTEMPTS = 3
_FIRST_ERROR, _FIRST_SERVER_ERROR = 300, 500
# Resources that a customer names, whose model only the answer can tell.
_UNTOLD = (":application-inference-profile/", ":prompt-router/", ":default-prompt-router/")


class Asked(NamedTuple):
    """What a client is about to ask.

    Attributes:
        operation: Operation of Bedrock, such as "ConverseStream".
        request: What is asked of which model.
        names_model: Whether the answer tells the model, and the request does not.
    """

    operation: str
    request: Request
    names_model: bool


def asked_of(
    client: Any, operation_model: Any = None, request_dict: Any = None, *_: Any, **__: Any
) -> Asked | None:
    """What a client's request asks of a model; None where it asks none, or nobody watches.

    Args:
        client: The client, of any service.
        operation_model: As its request method takes it.
        request_dict: As its request method takes it.
    """
    operation = getattr(operation_model, "name", "")
    if operation not in _OPERATIONS or not active.gatekeepers():
        return None
    if client.meta.service_model.service_name != _SERVICE:
        return None
    path, body = str(request_dict.get("url_path")), request_dict.get("body")
    model = unquote(path.removeprefix("/model/").rpartition("/")[0])
    request = Request(
        provider="aws.bedrock",
        model=model or None,
        operation=_operation(operation, model, body),
        body=bytes(body) if isinstance(body, bytes | bytearray) else None,
        attempts=_attempts(client),
    )
    return Asked(operation, request, any(part in model for part in _UNTOLD))


def is_refused(result: Any, passage: Passage) -> bool:
    """Whether Bedrock answered with an error, which the client raises later; settles the call then.

    Args:
        result: What a client's request method returns: the HTTP response, and what it says.
        passage: The call.
    """
    http, response = result
    if http.status_code < _FIRST_ERROR:
        return False
    if http.status_code < _FIRST_SERVER_ERROR:
        passage.release()
    else:
        retries = response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
        passage.settle(is_whole=False, sent=1 + retries)
    return True


def _operation(operation: str, model: str, body: object) -> str:
    if operation.startswith("Converse"):
        return "chat"
    if "embed" in model:
        return semconv.EMBEDDINGS_OPERATION
    is_chat = isinstance(body, bytes | bytearray) and b'"messages"' in body
    return "chat" if is_chat else "text_completion"


def _attempts(client: Any) -> int:
    """How often the SDK sends a request at most."""
    retries = getattr(client.meta.config, "retries", None) or {}
    attempts = retries.get("total_max_attempts")
    if isinstance(attempts, int):
        return max(attempts, 1)
    return _ATTEMPTS.get(retries.get("mode", "legacy"), _DEFAULT_ATTEMPTS)
