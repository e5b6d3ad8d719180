"""Every setting of the server, defined once: flag > environment KANDINSKY_* > TOML file > default."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from kandinsky_server.security.files import read_small
from kandinsky_server.settings.limits import RequestLimits
from kandinsky_server.settings.listening import Listening
from kandinsky_server.settings.models import Models
from kandinsky_server.settings.networks import Networks
from kandinsky_server.settings.serving import Serving
from kandinsky_server.settings.sources import PREFIX, ConfigFile, Environment, Origins, holds_path
from kandinsky_server.settings.telling import Telling


class Settings(Telling, RequestLimits, Serving, Networks, Models, Listening, BaseSettings):
    """The settings of `kandinsky serve`, frozen.

    A rule about several settings is the validator of the last of them, so that all that is wrong is told at once.
    The fields of the last base come first.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="kandinsky serve",
        cli_hide_none_type=True,
        cli_exit_on_error=False,
        protected_namespaces=(),
    )

    config: Path | None = Field(None, description="TOML file with any of these settings.")
    check: bool = Field(
        False, description="Check settings, files, device and backend, say what was found, and exit: 0 or 2."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _spelt_alike_everywhere(cls, value: Any, info: ValidationInfo) -> Any:
        """``null`` is None, and ``~`` a home directory, in flags, variables and files alike."""
        field = cls.model_fields[str(info.field_name)]
        if value == "null" and NoneType in get_args(field.annotation):
            return None
        if not holds_path(field.annotation) or not str(value).startswith("~"):
            return value
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            if value == field.default:
                return None  # what is kept at home is not kept; the preflight says so
            raise ValueError("this user has no home directory: give a path without ~") from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags come before all of these; the file that ``toml_file`` names comes last."""
        return init_settings, Environment(settings_cls), ConfigFile(settings_cls)


def load_settings(arguments: Sequence[str]) -> Settings:
    """The settings that command-line ``arguments``, the environment and the config file make together.

    Prints help for ``--help``. Exits with code 2, naming every bad setting at once.
    """
    file = _config_file(arguments)
    if file is not None:
        try:
            read_small(file)
        except ValueError as error:
            refuse([f"config: {error}"])

    class FileSettings(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    for name, field in FileSettings.model_fields.items():
        field.description = f"{field.description} [{PREFIX}{name.upper()}]"
    # pydantic reads variables in any case.
    environment = {name.upper(): value for name, value in os.environ.items()}
    origins = Origins(FileSettings, arguments, environment, file)
    problems = [] if {"--help", "-h"} & set(arguments) else origins.strange_variables()
    try:
        settings = CliApp.run(FileSettings, cli_args=list(arguments))
    except ValidationError as error:
        refuse([*map(origins.sentence, error.errors()), *problems])
    except SettingsError as error:
        refuse([origins.of_command_line(error), *problems])
    except (OSError, ValueError) as error:  # TOML's own, or of text that is not UTF-8
        refuse([f"config: {str(file)!r} cannot be read: {error}", *problems])
    if problems:
        refuse(problems)
    return settings


def _config_file(arguments: Sequence[str]) -> Path | None:
    """Known before the rest, since the file is one of the sources."""
    parser = argparse.ArgumentParser(
        "kandinsky serve", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False
    )
    parser.add_argument("--config", default=os.environ.get("KANDINSKY_CONFIG"))
    known, _ = parser.parse_known_args(list(arguments))
    return Path(known.config) if known.config else None


def refuse(problems: Sequence[str]) -> NoReturn:
    """Says what is wrong with the settings and exits with code 2."""
    for problem in problems:
        print(f"kandinsky serve: {problem}", file=sys.stderr)
    sys.exit(2)
