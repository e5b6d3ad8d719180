"""The words of a request, for the log."""

from __future__ import annotations

from typing import Any

from kandinsky_server.rpc.limits import Limits


def texts_of(request: Any, limits: Limits) -> dict[str, Any]:
    """The words in a request, by the names of its fields; a condition's text is a prompt.

    The request has not been checked: what is over the limits is left out.
    """
    most, length = limits.prompt_count, limits.prompt_length
    conditions = [each.text for each in getattr(request, "conditions", ())[:most] if each.HasField("text")]
    prompts = [*getattr(request, "prompts", ())[:most], *conditions]
    texts: dict[str, Any] = {"prompts": [prompt[:length] for prompt in prompts]}
    for name in ("negative_prompt", "negative_prior_prompt"):
        texts[name] = getattr(request, name, "")[:length]
    return {name: text for name, text in texts.items() if text}
