"""The two models are those of the notebook, number by number."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.models import _modules as blocks
from cifar_tui.models._layers import total_flops, total_parameters
from cifar_tui.recipe import resolve

VARIANTS = list(
    itertools.product(("fnn", "cnn"), ("layer", "batch", "none"), (1, 3), (0.0, 0.25), (10, 20, 100))
)


def build(config: RunConfig, classes: int = 10) -> torch.nn.Module:
    torch.manual_seed(0)
    return catalog.get("models", config.model).build(config, classes)


@pytest.mark.parametrize(("preset", "expected"), [("seed-fnn", 510_234), ("seed-cnn", 206_154)])
def test_the_presets_have_the_notebooks_number_of_parameters(preset: str, expected: int) -> None:
    config = resolve(preset=preset).config
    assert sum(p.numel() for p in build(config).parameters()) == expected
    assert total_parameters(catalog.get("models", config.model).layers(config, 10)) == expected


def test_the_notebooks_default_flags_are_the_schemas_defaults() -> None:
    config = RunConfig()
    assert (
        config.batch_size,
        config.eval_batch_size,
        config.steps,
        config.hidden_layers,
        config.num_nodes,
    ) == (
        50,
        2000,
        2000,
        8,
        128,
    )
    assert (config.learning_rate, config.l2_reg, config.norm, config.dropout) == (1e-4, 0.0, "layer", 0.0)
    assert (config.model, config.optimizer, config.checkpoint_keep) == ("fnn", "adamw", 10)


@pytest.mark.parametrize(("model", "norm", "hidden", "dropout", "classes"), VARIANTS)
def test_the_layer_table_agrees_with_the_module(
    model: str, norm: str, hidden: int, dropout: float, classes: int
) -> None:
    config = RunConfig(model=model, norm=norm, hidden_layers=hidden, num_nodes=24, dropout=dropout)
    module = build(config, classes)
    table = catalog.get("models", model).layers(config, classes)
    assert total_parameters(table) == sum(p.numel() for p in module.parameters())
    assert table[-1].shape == (classes,)
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, classes)


def test_flops_are_those_of_torchs_counter() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for preset in ("seed-fnn", "seed-cnn"):
        config = resolve(preset=preset).config
        rows = [
            r
            for r in catalog.get("models", config.model).layers(config, 10)
            if r.kind.startswith(("dense", "conv"))
        ]
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            build(config).eval()(torch.zeros(1, 3, 32, 32))
        biases = 0  # neither counts the addition of biases
        assert total_flops(rows) == counter.get_total_flops() + biases


def test_every_kernel_and_bias_starts_uniform_within_a_tenth() -> None:
    module = build(RunConfig(model="cnn"))
    for layer in module.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            for tensor in (layer.weight, layer.bias):
                assert float(tensor.detach().abs().max()) <= 0.1
            if layer.weight.numel() > 5000:
                assert float(layer.weight.detach().std()) == pytest.approx(0.2 / 12**0.5, rel=0.05)


def test_feature_layer_norm_has_one_gain_and_one_offset() -> None:
    norm = blocks.FeatureLayerNorm(7)
    with torch.no_grad():
        norm.gain.fill_(2.0)
        norm.offset.fill_(0.5)
    x = torch.randn(4, 7, dtype=torch.float64)
    norm = norm.double()
    expected = (x - x.mean(1, keepdim=True)) / (
        x.var(1, unbiased=False, keepdim=True) + 1e-3
    ).sqrt() * 2.0 + 0.5
    torch.testing.assert_close(norm(x), expected)
    assert sum(p.numel() for p in norm.parameters()) == 2


def test_image_layer_norm_centres_without_scaling() -> None:
    x = torch.randn(2, 3, 5, 5) * 7 + 3
    out = blocks.ImageLayerNorm(3)(x)
    torch.testing.assert_close(out, x - x.mean((2, 3), keepdim=True))


def test_batch_norm_moves_its_averages_by_one_hundredth() -> None:
    norm = blocks.feature_norm("batch", 4)
    assert isinstance(norm, torch.nn.BatchNorm1d)
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)


def test_the_fnn_is_the_notebooks_graph() -> None:
    config = RunConfig(hidden_layers=3, num_nodes=8)
    module = build(config).double()
    parts = dict(module.named_children())
    images = torch.rand(5, 3, 32, 32, dtype=torch.float64)
    x = parts["norm_0"](parts["dense_0"](images.permute(0, 2, 3, 1).reshape(5, -1)))
    for index in (1, 2):
        block = dict(parts[f"residual_{index}"].named_children())
        x = x + block["norm"](block["dense"](torch.sigmoid(x)))
    torch.testing.assert_close(module(images), parts["dense_final"](torch.sigmoid(x)))


def test_pooling_before_relu_gives_the_notebooks_numbers() -> None:
    config = RunConfig(model="cnn", norm="batch", hidden_layers=2, num_nodes=8)
    module = build(config).double().eval()
    parts = dict(module.named_children())
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    x = images
    for index in range(3):
        block = dict(parts[f"block_{index}"].named_children())
        x = functional.relu(block["norm"](block["conv"](x)))  # the notebook's order
        if index < 2:
            x = functional.max_pool2d(x, 2)
    x = parts["norm_0"](parts["dense_0"](x.permute(0, 2, 3, 1).reshape(3, -1)))
    block = dict(parts["residual_1"].named_children())
    x = x + block["norm"](block["dense"](functional.relu(x)))
    torch.testing.assert_close(module(images), parts["dense_final"](functional.relu(x)))


def test_conv_norm_applies_to_convolutions_only() -> None:
    module = build(RunConfig(model="cnn", norm="layer", conv_norm="batch", hidden_layers=1, num_nodes=8))
    parts = dict(module.named_children())
    assert isinstance(parts["block_0"].norm, torch.nn.BatchNorm2d)
    assert isinstance(parts["norm_0"], blocks.FeatureLayerNorm)


def test_listing_models_does_not_load_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from cifar_tui import catalog; from cifar_tui.config import RunConfig\n"
        "for kind in ('models', 'optimizers', 'schedules', 'presets'):\n"
        "    [catalog.summary(kind, name) for name in catalog.names(kind)]\n"
        "catalog.get('models', 'cnn').layers(RunConfig(), 10)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
