"""Where settings come from besides flags: the environment and the config file; and how their values are told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError, TomlConfigSettingsSource

from kandinsky_server.settings.models import Models

PREFIX = "KANDINSKY_"

OTHERS_VARIABLES = re.compile(r"KANDINSKY_(TARGET|CLIENT_.*)")
"""What the clients read; none of it is the server's."""

KUBERNETES_VARIABLES = re.compile(
    r"KANDINSKY(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes sets in every container for a Service whose name begins with ``kandinsky``."""

KUBERNETES_VALUE = re.compile(r"(tcp|udp|sctp)://")

TOLD = 200
"""Characters of a value that are told."""

NOT_EMPTY = ("tls_certificate", "tls_key", "tls_client_ca", "tokens_file", "reflection")
"""Settings whose default lets more in than a value might, so that an empty variable is not taken for it."""

CHECKPOINTS = tuple(Models.model_fields)
"""Settings that are a directory, if they are not the name of something else."""


class Environment(EnvSettingsSource):
    """The variables. An empty one is as good as none, unless that could let somebody in."""

    def __call__(self) -> dict[str, Any]:
        """The settings in the environment."""
        return {name: value for name, value in super().__call__().items() if value != "" or name in NOT_EMPTY}


class ConfigFile(TomlConfigSettingsSource):
    """The TOML file. Relative paths in it are relative to its directory."""

    def __call__(self) -> dict[str, Any]:
        """The settings in the file."""
        fields = self.settings_cls.model_fields
        values = super().__call__()
        for name, value in values.items():
            if not isinstance(value, str) or value == "null" or name not in fields:
                continue
            if holds_path(fields[name].annotation) or (name in CHECKPOINTS and self._is_directory(value)):
                values[name] = self._here(value)
        return values

    def _here(self, value: str) -> str:
        if value.startswith("~"):
            return value
        return str(Path(str(self.toml_file_path)).parent / value)

    def _is_directory(self, value: str) -> bool:
        """As opposed to a preset, ``toy``, or a hub id that nothing here has the name of."""
        return value.startswith("./") or value.startswith("../") or Path(self._here(value)).is_dir()


def holds_path(annotation: Any) -> bool:
    """Whether a setting of this type is a path."""
    return annotation is Path or any(map(holds_path, get_args(annotation)))


@dataclass(frozen=True)
class Origins:
    """Says of a setting where its value was read. ``environment`` is all of it, ``file`` the config file or None."""

    settings: type[BaseSettings]
    arguments: Sequence[str]
    environment: Mapping[str, str]
    file: Path | None

    def of(self, name: str) -> str:
        """The flag, variable or file; empty for a default."""
        flag = name.replace("_", "-")
        for spelling in (f"--{flag}", f"--no-{flag}"):
            if any(argument.split("=")[0] == spelling for argument in self.arguments):
                return spelling
        variable = f"{PREFIX}{name.upper()}"
        value = self.environment.get(variable)
        if value or (value == "" and name in NOT_EMPTY):
            return variable
        if self.file is not None and self._in_file(name):
            return str(self.file)
        return ""

    def _in_file(self, name: str) -> bool:
        return name in ConfigFile(self.settings, self.file).toml_data

    def sentence(self, error: ErrorDetails) -> str:
        """What is wrong with which value from where."""
        name = str(error["loc"][0]) if error["loc"] else "settings"
        where = ".".join(map(str, error["loc"])) or name
        if error["type"] == "extra_forbidden":
            return f"{where}: there is no such setting, but {self.file} has it{nearest(name, self._names())}"
        message = error["msg"].removeprefix("Value error, ")
        origin = self.of(name)
        if not origin:
            return f"{where}: {message}"
        told = f"{where}: {message} ({_told(error['input'])} from {origin})"
        if error["input"] == "" and origin.startswith(PREFIX):
            return f"{told}; unset the variable for the default"
        if origin.startswith(PREFIX) and KUBERNETES_VALUE.match(self.environment[origin]):
            told += (
                ": Kubernetes sets this variable for a Service of that name: put enableServiceLinks: false into the "
                f"pod's spec, or give --{name.replace('_', '-')}"
            )
        return told

    def of_command_line(self, error: SettingsError) -> str:
        """What is wrong with the flags, and which one was probably meant."""
        message = str(error).removeprefix("error parsing CLI: ")
        flags = [f"--{name.replace('_', '-')}" for name in self._names()]
        unknown = [word.split("=")[0] for word in message.split() if word.startswith("--")]
        return message + "".join(nearest(word, flags) for word in unknown if word not in flags)

    def strange_variables(self) -> list[str]:
        """Says of variables that look like the server's, and are none, which was probably meant."""
        known = {f"{PREFIX}{name.upper()}" for name in self._names()}
        return [
            f"{name}: there is no such setting, but the environment has it{nearest(name, known)}"
            for name in sorted(self.environment.keys() - known)
            if name.startswith(PREFIX)
            and not OTHERS_VARIABLES.fullmatch(name)
            and not KUBERNETES_VARIABLES.fullmatch(name)
        ]

    def _names(self) -> Collection[str]:
        return self.settings.model_fields


def nearest(name: str, names: Collection[str]) -> str:
    """A question after the name that was probably meant; empty when none is like it."""
    found = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _told(value: Any) -> str:
    told = repr(str(value) if isinstance(value, Path) else value)
    return told if len(told) <= TOLD else f"{told[:TOLD]}..."
