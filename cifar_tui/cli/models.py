"""``cifar-tui models``: what can be trained, and the layers of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.cli.options import Asked, SectionedCommand, recipe_options
from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.text import human_bytes, human_count

if TYPE_CHECKING:
    from cifar_tui.config import RunConfig
    from cifar_tui.models._layers import LayerInfo

app = common.new_app(help="Models, and the layers of one.", invoke_without_command=True)
_FLAGS = ("hidden_layers", "num_nodes", "norm", "conv_norm", "dropout", "batch_size")


@app.callback(epilog="Example: cifar-tui models")
def models(ctx: typer.Context, as_json: common.Json = False) -> None:
    """List the models with their size at default options and ten classes."""
    if ctx.invoked_subcommand is not None:
        return
    from cifar_tui import catalog

    found: list[dict[str, Any]] = []
    for name in catalog.names("models"):
        config, rows = _layers(name, Asked(), 10)
        found.append(
            {
                "name": name,
                "summary": catalog.summary("models", name),
                "parameters": sum(row.parameters for row in rows),
                "flops": sum(row.flops for row in rows),
                "options": {
                    option: getattr(config, option) for option in sorted(catalog.get("models", name).OPTIONS)
                },
            }
        )
    if as_json:
        common.print_json(found)
        return
    lines = [
        [each["name"], f"{each['parameters']:,}", human_count(each["flops"]), each["summary"]]
        for each in found
    ]
    print(common.table(("model", "parameters", "FLOPs", "what it is"), lines, right=(1, 2)))


@app.command("show", cls=SectionedCommand, epilog="Example: cifar-tui models show cnn --num-nodes 256")
@recipe_options(only=_FLAGS)
def show(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model, see: cifar-tui models.")],
    classes: Annotated[
        int | None, typer.Option("--classes", metavar="N", help="Outputs [default: those of the dataset].")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Build it with torch and send one batch through it.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Show the layers of a model.

    Output shapes, trained parameters and FLOPs of the forward pass are for one picture; a multiply-add
    counts as two.
    """
    if classes is not None and not 2 <= classes <= 100_000:
        raise UsageError(f"--classes is {classes}, expected 2 to 100000")
    config, rows = _layers(name, asked, classes)
    outputs = rows[-1].shape[0]
    from cifar_tui.session.prepare import memory_needed

    memory = memory_needed(config, outputs)
    logits = _forward(config, outputs, rows) if check else None
    if as_json:
        common.print_json(_to_json(name, config, rows, memory, logits))
        return
    parameters, flops = sum(row.parameters for row in rows), sum(row.flops for row in rows)
    lines = [
        [row.name, row.kind, "x".join(map(str, row.shape)), _number(row.parameters), _number(row.flops)]
        for row in rows
    ]
    lines.append(["total", "", "", f"{parameters:,}", f"{flops:,}"])
    colours = {(len(lines) - 1, column): "1" for column in (0, 3, 4)}
    header = ("layer", "kind", "output", "parameters", "FLOPs")
    print(common.table(header, lines, right=(2, 3, 4), colours=colours))
    print()
    print(f"memory to train it with batches of {config.batch_size}: about {human_bytes(memory)}")
    if logits is not None:
        print(f"forward check: logits {logits}")


def _number(value: int) -> str:
    return f"{value:,}" if value else "-"


def _layers(name: str, asked: Asked, classes: int | None) -> tuple[RunConfig, list[LayerInfo]]:
    """The config and the layer table of a model; `classes` None takes those of the config's dataset."""
    from cifar_tui import catalog
    from cifar_tui.datasets import get_spec
    from cifar_tui.recipe import resolve

    catalog.check("models", name)
    config = resolve(preset=asked.preset, flags={"model": name, **asked.flags}).config
    outputs = classes or len(get_spec(config.dataset).class_names(config.labels))
    layers: list[LayerInfo] = catalog.get("models", name).layers(config, outputs)
    return config, layers


def _forward(config: RunConfig, classes: int, rows: list[LayerInfo]) -> tuple[int, ...]:
    """Shape of the logits of one batch; loads torch.

    Raises:
        CifarTuiError: the module is not what the table says: a fault of the model's file.
    """
    from cifar_tui.session.prepare import check_memory

    check_memory(config, classes)
    import torch

    from cifar_tui.engine.build import build_module

    module = build_module(config, classes, torch.device("cpu")).eval()
    with torch.inference_mode():
        logits = tuple(module(torch.zeros(config.batch_size, 3, 32, 32)).shape)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    expected = sum(row.parameters for row in rows)
    if parameters != expected or logits != (config.batch_size, classes):
        raise CifarTuiError(
            f"model {config.model} has {parameters:,} parameters and logits {logits}, expected {expected:,} "
            f"and {(config.batch_size, classes)}"
        )
    return logits


def _to_json(
    name: str, config: RunConfig, rows: list[LayerInfo], memory: int, logits: tuple[int, ...] | None
) -> dict[str, Any]:
    import dataclasses

    from cifar_tui import catalog

    return {
        "name": name,
        "summary": catalog.summary("models", name),
        "classes": rows[-1].shape[0],
        "options": {
            option: getattr(config, option) for option in sorted(catalog.get("models", name).OPTIONS)
        },
        "layers": [dataclasses.asdict(row) for row in rows],
        "parameters": sum(row.parameters for row in rows),
        "flops": sum(row.flops for row in rows),
        "batch_size": config.batch_size,
        "memory_bytes": memory,
        "logits": logits,
    }
