"""From a case to what its program gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.cases import Case
from conformance.certificates import Certificates
from conformance.paths import INPUTS
from conformance.rpcs import REQUESTS, parse, to_base64


def program_input(case: Case, *, files: Path, own: str, certificates: Certificates) -> dict[str, Any]:
    """Returns the case's keys for the program, with messages serialized and paths that can be opened.

    Args:
        case: The case.
        files: Where the files of this run are, in a folder for each client and transport.
        own: The name of the folder of this client and transport.
        certificates: Those that `tls` names.
    """
    given = dict(case.given)
    if "request" in given:
        given["request"] = to_base64(parse(REQUESTS[given["call"]], given["request"]))
    if given.get("tls"):
        certificates.ca  # noqa: B018 - makes the files
        given["tls"] = {key: str(certificates.folder / name) for key, name in given["tls"].items()}
    if "save_file" in given:
        (files / own).mkdir(parents=True, exist_ok=True)
        given["save_file"] = str(files / own / given["save_file"])
    if "embeddings_file" in given:
        whose, _, name = given["embeddings_file"].partition("/")
        folders = {"python": files / "python grpc", "client": files / own, "inputs": INPUTS}
        given["embeddings_file"] = str(folders[whose] / name)
    return given
