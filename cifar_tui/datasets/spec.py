"""What is known about a dataset before a byte of it is read: names, sizes, hashes, addresses.

Standard library only; no numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from cifar_tui.errors import UsageError
from cifar_tui.text import did_you_mean, safe_text

PIXEL_BYTES = 3072
"""Bytes of one picture: 3 channels of 32 x 32."""


@dataclass(frozen=True)
class ArchiveSpec:
    """One archive of a dataset and the folder it unpacks to."""

    file: str
    """File name of the archive, such as ``cifar-10-binary.tar.gz``."""
    bytes: int | None
    """Exact size of the official archive, or None where it is not known."""
    sha256: str | None
    md5: str | None
    format: str
    """``binary``: fixed-size records; ``python``: pickled arrays, read by a restricted unpickler."""
    folder: str
    """Name of the folder in the archive and on disk."""
    members: Mapping[str, int | None]
    """Every file that is kept, with its exact size in bytes or None where the size is not fixed."""
    train: tuple[str, ...]
    """Members that hold the training pictures, in order."""
    test: tuple[str, ...]
    """Members that hold the test pictures, in order."""
    fine_names_file: str | None = None
    coarse_names_file: str | None = None
    md5s: Mapping[str, str] = field(default_factory=dict)
    """MD5 of official members, where public loaders agree on one."""
    urls: tuple[str, ...] = ()
    """The official address, then public mirrors."""

    @property
    def data_members(self) -> tuple[str, ...]:
        """The members that hold pictures; the others (label names) may be absent."""
        return self.train + self.test

    @property
    def unpacked_bytes(self) -> int:
        """Space that the folder takes, where sizes are not fixed an upper bound."""
        sizes = [self.members[name] for name in self.data_members]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else 190_000_000


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset: what it is called, what it holds and where it comes from."""

    name: str
    title: str
    names: tuple[str, ...]
    """Class names; the index is the (fine) label."""
    mean: tuple[float, float, float]
    """Per channel (red, green, blue), of training pictures in [0, 1]."""
    std: tuple[float, float, float]
    train: int
    """Number of training pictures."""
    test: int
    """Number of test pictures."""
    archives: tuple[ArchiveSpec, ...] = ()
    """In the order in which they are looked for and fetched."""
    coarse_names: tuple[str, ...] = ()
    fine_to_coarse: tuple[int, ...] = ()
    """The coarse label of each fine label; empty where there are no coarse labels."""
    synthetic: bool = False

    @property
    def label_bytes(self) -> int:
        """Label bytes in front of each binary record: 1, or 2 (coarse, fine)."""
        return 2 if self.coarse_names else 1

    @property
    def record_bytes(self) -> int:
        """Bytes of one binary record."""
        return self.label_bytes + PIXEL_BYTES

    def class_names(self, labels: str) -> tuple[str, ...]:
        """Class names for ``fine`` or ``coarse`` labels.

        Raises:
            UsageError: the dataset has no such labels.
        """
        if labels == "fine":
            return self.names
        if labels == "coarse" and self.coarse_names:
            return self.coarse_names
        kinds = "fine, coarse" if self.coarse_names else "fine"
        raise UsageError(f'{self.title} has no "{safe_text(labels, 40)}" labels', hint=f"valid: {kinds}")


def get_spec(name: str) -> DatasetSpec:
    """The specification of a dataset by name.

    Raises:
        UsageError: there is no dataset of that name; the nearest one is named.
    """
    from cifar_tui.datasets import names

    if name not in names():
        raise UsageError(f'there is no dataset "{safe_text(name, 40)}"', hint=did_you_mean(name, names()))
    spec = import_module(f"cifar_tui.datasets.{name}").SPEC
    assert isinstance(spec, DatasetSpec)
    return spec
