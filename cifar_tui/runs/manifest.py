"""The manifest of a checkpoint: what its files must be, sealed so that no byte of it can change unseen."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_tui.errors import DamagedError, from_os_error
from cifar_tui.fsio import dump_json
from cifar_tui.runs.files import json_safe, open_regular, parse_object, read_regular
from cifar_tui.text import safe_text

SCHEMA = 1
NAME = "manifest.json"
_SEAL = "manifest_sha256"
_UNSEALED = "0" * 64
_LIMIT = 1 << 20
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_file_name(name: object) -> bool:
    """Whether a file of a checkpoint may have this name: plain, not hidden, not the manifest's own."""
    return isinstance(name, str) and bool(_FILE_NAME.fullmatch(name)) and name.casefold() != NAME


def encode(step: int, values: Mapping[str, Any], files: Mapping[str, tuple[int, str]]) -> bytes:
    """The bytes of a manifest: `schema`, `step`, the caller's `values`, `files` and a seal over all of it.

    Args:
        step: steps done.
        values: JSON values; NaN and infinities become null.
        files: size in bytes and SHA-256 by name.
    """
    content = {
        "schema": SCHEMA,
        "step": step,
        **{
            key: value
            for key, value in json_safe(values).items()
            if key not in {"schema", "step", "files", _SEAL}
        },
        "files": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in files.items()},
        _SEAL: _UNSEALED,
    }
    data = dump_json(content, indent=1).encode("ascii") + b"\n"
    return _with_seal(data, _UNSEALED, hashlib.sha256(data).hexdigest())


def decode(data: bytes, step: int) -> dict[str, Any]:
    """The content of a manifest.

    Args:
        data: its bytes.
        step: what the name of its folder says.

    Raises:
        ValueError: it is not what `encode` wrote for this step.
        NewerSchema: it was written by a newer version.
    """
    values = parse_object(data)
    schema = values.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerSchema(schema)
    if schema != SCHEMA:
        raise ValueError(f"schema is {safe_text(schema, 40)}, expected {SCHEMA}")
    seal = values.get(_SEAL)
    if not isinstance(seal, str) or not _DIGEST.fullmatch(seal):
        raise ValueError("no seal: not a checkpoint of cifar-tui")
    found = hashlib.sha256(_with_seal(data, seal, _UNSEALED)).hexdigest()
    if found != seal:
        raise ValueError(f"SHA-256 {found[:12]}.. expected {seal[:12]}..")
    if values.get("step") != step:
        raise ValueError(f"step is {safe_text(values.get('step'), 40)}, expected {step}")
    files = values.get("files")
    if not isinstance(files, dict) or not all(_is_entry(name, entry) for name, entry in files.items()):
        raise ValueError("its table of files is malformed")
    return values


class NewerSchema(ValueError):  # noqa: N818 - a fact, not a fault of the file
    """A manifest of a later schema than this version reads."""

    def __init__(self, schema: int) -> None:
        super().__init__(f"schema {schema}")
        self.schema = schema


def verify_folder(folder: Path, step: int, title: str, hint: str | None) -> dict[str, Any]:
    """The manifest of a checkpoint whose every file was found to be as it says.

    Only files that the manifest names are opened; links are refused.

    Args:
        folder: the checkpoint.
        step: what its name says.
        title: how errors name it.
        hint: what errors advise.

    Raises:
        DamagedError: names the file, what was found and what was expected.
        CifarTuiError: it cannot be read.
    """

    def damaged(name: str, found: str) -> DamagedError:
        return DamagedError(
            f"{title} is damaged ({name}: {found})",
            where=folder / name,
            state="nothing changed",
            hint=hint,
            id="E-CKPT-DAMAGED",
        )

    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.ENOENT}:
            raise damaged("", "not a folder") from error
        raise from_os_error(error, "read", folder) from error
    name = NAME
    try:
        manifest = decode(read_regular(NAME, _LIMIT, follow=False, dir_fd=parent), step)
        for name, entry in manifest["files"].items():
            _check_size(parent, name, entry)
        for name, entry in manifest["files"].items():
            _check_digest(parent, name, entry)
    except NewerSchema as error:
        raise DamagedError(
            f"{title} was written by a newer version "
            f"(schema {error.schema}, this version reads up to {SCHEMA})",
            where=folder / NAME,
            state="nothing changed",
            hint="pip install --upgrade cifar-tui",
            id="E-CKPT-VERSION",
        ) from error
    except ValueError as error:
        raise damaged(name, str(error)) from error
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
            raise from_os_error(error, "read", folder / name) from error
        raise damaged(name, _reason(error)) from error
    finally:
        os.close(parent)
    return manifest


def _with_seal(data: bytes, old: str, new: str) -> bytes:
    """Replace the seal where it stands: at the last place of its key."""
    key = f'"{_SEAL}": "'.encode("ascii")
    head, found, tail = data.rpartition(key)
    if not found or not tail.startswith(old.encode("ascii")):
        raise ValueError("the seal is not in its place")
    return head + found + new.encode("ascii") + tail[len(old) :]


def _is_entry(name: str, entry: object) -> bool:
    if not is_file_name(name) or not isinstance(entry, dict):
        return False
    size, digest = entry.get("bytes"), entry.get("sha256")
    return type(size) is int and size >= 0 and isinstance(digest, str) and bool(_DIGEST.fullmatch(digest))


def _check_size(parent: int, name: str, entry: dict[str, Any]) -> None:
    descriptor = open_regular(name, follow=False, dir_fd=parent)
    size = os.fstat(descriptor).st_size
    os.close(descriptor)
    if size != entry["bytes"]:
        raise ValueError(f"{size:,} bytes, expected {entry['bytes']:,}")


def _check_digest(parent: int, name: str, entry: dict[str, Any]) -> None:
    with os.fdopen(open_regular(name, follow=False, dir_fd=parent), "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != entry["sha256"]:
        raise ValueError(f"SHA-256 {found[:12]}.. expected {entry['sha256'][:12]}..")


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "missing"
    if error.errno == errno.ELOOP:
        return "a symbolic link, expected a file"
    return error.strerror or type(error).__name__
