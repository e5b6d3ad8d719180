"""Checkpoints on the Hugging Face hub: `owner/name`, or `owner/name@revision` with a branch, a tag or a commit."""

from __future__ import annotations

from pathlib import Path

from kandinsky_server.errors import CheckpointError

FETCHED = ("*.json", "*.txt", "*.safetensors")
PASSED_OVER = ("*fp16*", "*non_ema*")
"""Variants of weights that are not loaded."""


def is_id(source: str) -> bool:
    """Whether a source is written as hub ids are."""
    return source.count("/") == 1 and not source.startswith((".", "/", "~"))


def is_on_hub(source: str) -> bool:
    """Whether a source is a hub id: it looks like one, and nothing here has its name."""
    return is_id(source) and not Path(source).exists()


def split(source: str) -> tuple[str, str | None]:
    """A hub id's repository, and its revision: None is the repository's newest."""
    repository, _, revision = source.partition("@")
    return repository, revision or None


def download(source: str, directory: Path | None = None) -> Path:
    """Fetches what the server reads of a checkpoint: weights as safetensors, no fp16 variants. Files that are there stay.

    Args:
        source: its hub id.
        directory: where the files go; None: the hub's cache, which other programs share.

    Returns:
        The directory that holds them.

    Raises:
        CheckpointError: it is no hub id, there is no such repository or revision, the hub or the disk cannot be used.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    no_id = f"{source!r} is no hub id: it is written owner/name, or owner/name@revision"
    if not is_id(source):
        raise CheckpointError(no_id)
    repository, revision = split(source)
    try:
        found = snapshot_download(
            repository,
            revision=revision,
            local_dir=directory,
            allow_patterns=list(FETCHED),
            ignore_patterns=list(PASSED_OVER),
        )
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repository!r} has no revision {revision!r} on the hub") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no repository {repository!r}, or it needs a token") from error
    except HFValidationError as error:
        raise CheckpointError(no_id) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise CheckpointError(f"{source!r} cannot be written: {error}") from error
        raise CheckpointError(
            f"{source!r} is not a local directory and the hub could not be reached; download it elsewhere (`kandinsky "
            "download`) and name the directory"
        ) from error
    return Path(found)
