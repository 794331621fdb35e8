"""The peers train the same models; those that are not installed are skipped."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from cifar_tui.engine.build import build_module
from cifar_tui.engine.step import l2_penalty, penalised
from cifar_tui.recipe import resolve
from tests.benchmarks.peers import __main__ as peers
from tests.benchmarks.peers.world import pictures
from tests.cli.command import ROOT, environment


def test_missing_packages_are_named_with_the_extra(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None if name == "jax" else object())
    monkeypatch.setattr(sys, "argv", ["peers", "--peers", "jax-jit,keras-jax"])
    assert peers.main() == 69
    said = capsys.readouterr().err
    assert "not installed: jax" in said
    assert "cifar-tui[bench]" in said


def test_all_train_on_the_pictures_of_bench() -> None:
    from cifar_tui.bench import subjects

    images, labels = pictures(50)
    split = subjects.random_split(50)
    assert np.array_equal(images, split.images)
    assert np.array_equal(labels, split.labels)


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.xdist_group("alone")
def test_one_command_prints_the_table() -> None:
    words = ["--only", "fnn", "--peers", "index", "--windows", "1", "--seconds", "0.05", "--threads", "1"]
    found = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peers", *words],
        capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=200, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "plain PyTorch, no DataLoader" in found.stdout
    assert "ours/it" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fnn", "cnn"])
def test_the_jax_model_has_our_loss_for_our_weights(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jax = pytest.importorskip("jax", reason="needs the extra bench")
    from tests.benchmarks.peers import jax_peer

    monkeypatch.setitem(jax_peer.DROPOUT, model, 0.0)
    config = resolve(preset=f"seed-{model}").config.model_copy(update={"dropout": 0.0})
    module = build_module(config, 10, torch.device("cpu"))
    weights = jax_peer.initial(model, jax.random.key(0))
    assert sum(value.size for value in weights.values()) == sum(p.numel() for p in module.parameters())
    dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for index, layer in enumerate(dense):
        name = "final" if layer is dense[-1] else f"dense{index}"
        weights[f"{name}/w"] = layer.weight.detach().numpy().T
        weights[f"{name}/b"] = layer.bias.detach().numpy()
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    for index, layer in enumerate(convolutions):
        weights[f"conv{index}/w"] = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        weights[f"conv{index}/b"] = layer.bias.detach().numpy()
    images, labels = pictures(50)
    batch = images.astype(np.float32) / 255
    theirs, _kept = jax_peer.loss(
        model, weights, batch, labels, jax_peer.averages(weights), jax.random.key(0)
    )
    logits = module(torch.from_numpy(batch).permute(0, 3, 1, 2))
    ours = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    if config.l2_reg:
        ours = ours + l2_penalty(penalised(module), config.l2_reg)
    assert float(theirs) == pytest.approx(ours.item(), rel=1e-5)


@pytest.mark.slow
def test_the_sklearn_net_has_the_layers_of_ours_without_norms() -> None:
    pytest.importorskip("sklearn", reason="needs the extra bench")
    from tests.benchmarks.peers.sklearn_peer import SklearnPeer

    assert SklearnPeer("fnn").parameters == 510_234 - 16  # a gain and an offset for each of eight norms
