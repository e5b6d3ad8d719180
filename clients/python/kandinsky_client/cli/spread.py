"""Commands that take many options as one dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Shows typer each field of a parameter that is a dataclass as an option of its own.

    typer has no options that commands share; with this, a set of them is spelt once.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, own in inspect.signature(command).parameters.items():
        group = groups.get(name)
        parameters += _options(group) if group else [_named(name, own.default, hints[name])]

    def spread_command(**values: Any) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**values, **made)

    spread_command.__name__ = command.__name__
    spread_command.__doc__ = command.__doc__
    spread_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    setattr(spread_command, "__signature__", inspect.Signature(parameters))  # noqa: B010 (unknown to mypy)
    return spread_command


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [_named(field.name, field.default, hints[field.name]) for field in fields(group)]


def _named(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
