"""What schemathesis must know of this server: which failures are promised, and how each door says them.

https://schemathesis.readthedocs.io/en/stable/guides/extending/
"""

import json
import os
import random

import schemathesis

MODEL = os.environ["FUZZ_MODEL"]
EMBEDDER = os.environ["FUZZ_EMBEDDER"]
RANDOM = random.Random(1)

# Codes that may come with a status of 500 and above when nothing is broken: a registry that is not reached, what was
# not built, a queue that is full, a model whose answer does not keep to the schema that was asked for.
PROMISED = {
    "not_implemented",
    "registry_unavailable",
    "registry_invalid_response",
    "queue_full",
    "provider_unavailable",
    "invalid_model_output",
}
LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Most requests name a model that is there and ask for few tokens; otherwise each would end at an unknown name."""
    body = case.body
    if not isinstance(body, dict):
        return
    if case.path in ("/api/delete", "/api/create"):
        # Names that schemathesis saw in answers are those of models that others need.
        for name in ("model", "name"):
            if isinstance(body.get(name), str) and body[name]:
                body[name] = "fuzz-" + body[name]
        return
    if isinstance(body.get("model"), str) and RANDOM.random() < 0.85:
        # A few go to a provider that cannot be reached, under whatever name was made up.
        installed = EMBEDDER if "embed" in case.path else MODEL
        body["model"] = f"gone/{body['model']}" if RANDOM.random() < 0.05 else installed
    # One right field more makes the others count: half of what is made up has none.
    if "input" not in body and case.path.startswith("/v1/responses") and RANDOM.random() < 0.5:
        body["input"] = "Hi"
    if "messages" in body and RANDOM.random() < 0.3:
        body["messages"] = [{"role": "user", "content": "Hi"}]
    for name in LENGTHS:
        if isinstance(body.get(name), (int, float)) and not isinstance(body[name], bool) and body[name] > 2:
            body[name] = 2
    length = {"/v1/chat/completions": "max_tokens", "/v1/completions": "max_tokens", "/v1/messages": "max_tokens"}
    # A limit of null is none: such a model may write until its context is full.
    if case.path in length and not any(body.get(name) is not None for name in LENGTHS):
        body[length[case.path]] = 2
    elif case.path == "/v1/responses" and body.get("max_output_tokens") is None:
        body["max_output_tokens"] = 2
    elif case.path in ("/api/chat", "/api/generate") and isinstance(body.get("options") or {}, dict):
        body["options"] = {**(body.get("options") or {}), "num_predict": 2}


@schemathesis.check
def fails_as_promised(ctx, response, case):
    """No failure but a promised one, each in the shape of its door."""
    if response.status_code < 400:
        return
    assert response.status_code != 500, response.content[:500]
    if case.method == "HEAD":
        return
    text = response.content.decode("utf-8")
    try:
        body = json.loads(text)
    except ValueError:
        raise AssertionError(f"{response.status_code} without JSON: {text[:300]!r}") from None
    error = body.get("error") if isinstance(body, dict) else None
    if case.path.startswith("/v1/messages"):
        ok = body.get("type") == "error" and all(isinstance(error.get(key), str) for key in ("type", "message"))
    elif case.path == "/" or case.path.startswith("/api/"):
        ok = isinstance(error, str)
    else:
        ok = (
            isinstance(error, dict)
            and all(isinstance(error.get(key), str) for key in ("message", "type"))
            and all(key in error and isinstance(error[key], (str, type(None))) for key in ("param", "code"))
        )
    assert ok, f"{response.status_code} in another door's shape: {text[:300]}"
    if response.status_code >= 500:
        code = error.get("code") if isinstance(error, dict) else None
        promised = code in PROMISED if code else response.status_code in (501, 502, 503, 529)
        assert promised, f"{response.status_code} {code}: {text[:500]}"
