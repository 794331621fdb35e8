"""Everything ``cifar-tui runs show`` says about a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cifar_tui.cli import common
from cifar_tui.cli.choices import value_text
from cifar_tui.cli.runs import dataset_text, folder_bytes, local_time, percent
from cifar_tui.text import human_bytes, human_seconds, safe_text

if TYPE_CHECKING:
    from cifar_tui.runs.directory import RunDirectory

SPLITS = ("train", "validation", "test")


def details(run: RunDirectory) -> dict[str, Any]:
    """A run as JSON values.

    Returns:
        The summary, and `config`, `defaults`, `changed` (names of options that differ from these), `origins`,
        `dataset_record`, `device`, `versions`, `evaluations` (newest by split), `checkpoint_list`, `reason`,
        `bytes` and `damaged_events`.

    Raises:
        CifarTuiError: its ``run.json`` is damaged, or it cannot be read.
    """
    from cifar_tui.runs.checkpoints import CheckpointStore
    from cifar_tui.runs.reader import read_events
    from cifar_tui.runs.report import fold
    from cifar_tui.runs.summary import summarise
    from cifar_tui.session.resume import recorded_config

    meta = run.meta()
    config = recorded_config(run, meta)
    read = read_events(run.events_path, progress_limit=1)
    found = fold(read.events)
    defaults = _defaults(config["optimizer"])
    last = {split: found.last(split) for split in SPLITS}
    return {
        **summarise(run).to_json(),
        "config": config,
        "defaults": defaults,
        "changed": [name for name in defaults if config[name] != defaults[name]],
        "origins": _mapping(meta.get("origins")),
        "dataset_record": _mapping(meta.get("dataset")),
        "device": _mapping(meta.get("device")),
        "versions": _mapping(meta.get("versions")),
        "evaluations": {
            split: {
                "step": newest.step,
                "examples": newest.examples,
                "loss": newest.loss,
                "accuracy": newest.accuracy,
                "top5": newest.top5,
            }
            for split, newest in last.items()
            if newest is not None
        },
        "checkpoint_list": [
            {
                "name": info.name,
                "step": info.step,
                "best": info.best,
                "bytes": folder_bytes(info.path),
                "created": info.created,
            }
            for info in CheckpointStore(run.checkpoints).list()
        ],
        "reason": found.ended.reason if found.ended is not None else "",
        "bytes": folder_bytes(run.path),
        "damaged_events": read.damaged,
    }


def details_text(found: dict[str, Any]) -> str:
    """The same for people."""
    state = common.paint(found["state"], common.STATE_COLOURS.get(found["state"], ""))
    title = "" if found["title"] == found["run"] else f"  {safe_text(found['title'], 200)}"
    parts = [f"{common.paint(found['run'], '1')}  {state}{title}", _facts(found), _evaluations(found)]
    parts += [_checkpoints(found), _config(found)]
    return "\n\n".join(part for part in parts if part)


def _facts(found: dict[str, Any]) -> str:
    best = found["best_test_accuracy"]
    device = " ".join(safe_text(found["device"].get(key, ""), 60) for key in ("device", "name")).strip()
    versions = ", ".join(f"{safe_text(k, 20)} {safe_text(v, 40)}" for k, v in found["versions"].items())
    parent = found["parent"]
    share = f" ({min(1.0, found['step'] / found['target']):.0%})" if found["target"] else ""
    dataset = dataset_text(found["dataset"], found["dataset_state"])
    rows = [
        ("step", f"{found['step']:,} of {found['target']:,}{share}"),
        ("model", found["model"]),
        ("dataset", dataset + (" - drawn pictures, not CIFAR" if dataset == "synthetic" else "")),
        ("best test", "-" if best is None else f"{percent(best)} at step {found['best_step']:,}"),
        ("time", f"{human_seconds(found['seconds'])} in training steps"),
        ("ended", found["reason"]),
        ("created", local_time(found["created"])),
        ("forked from", f"{parent.get('run')} at step {parent.get('step')}" if parent else ""),
        ("device", device),
        ("engine", safe_text(found["device"].get("engine", ""), 20)),
        ("versions", versions),
        ("size", human_bytes(found["bytes"])),
        ("where", found["path"]),
        ("damaged", f"{found['damaged_events']} lines of events.jsonl" if found["damaged_events"] else ""),
    ]
    return "\n".join(f"{name:<12} {safe_text(value, 300)}" for name, value in rows if value)


def _evaluations(found: dict[str, Any]) -> str:
    rows = [
        [
            split,
            f"{each['step']:,}",
            f"{each['examples']:,}",
            "-" if each["loss"] is None else f"{each['loss']:.4f}",
            percent(each["accuracy"]),
            percent(each["top5"]),
        ]
        for split, each in found["evaluations"].items()
    ]
    header = ("split", "step", "pictures", "loss", "accuracy", "top-5")
    return common.table(header, rows, right=(1, 2, 3, 4, 5)) if rows else ""


def _checkpoints(found: dict[str, Any]) -> str:
    rows = [
        [each["name"], f"{each['step']:,}", human_bytes(each["bytes"]), local_time(each["created"])]
        for each in found["checkpoint_list"]
    ]
    return common.table(("checkpoint", "step", "size", "written"), rows, right=(1, 2)) if rows else ""


def _config(found: dict[str, Any]) -> str:
    """The options in use, those that differ from their default marked by a star."""
    from cifar_tui.config import OPTIONS, RunConfig
    from cifar_tui.recipe import uses

    config = RunConfig(**found["config"])
    rows: list[list[str]] = []
    colours: dict[tuple[int, int], str] = {}
    for name in OPTIONS:
        changed = name in found["changed"]
        if changed or uses(config, name):
            default = value_text(found["defaults"][name]) if changed else ""
            colours.update({(len(rows), column): "1" for column in (0, 1, 2) if changed})
            rows.append(["*" if changed else "", name, value_text(found["config"][name]), default])
    return common.table(("", "option", "value", "default (* differs)"), rows, colours=colours)


def _defaults(optimizer: str) -> dict[str, Any]:
    """What the options are where nobody says anything; an unknown optimizer has none of its own."""
    from cifar_tui import catalog
    from cifar_tui.config import OPTIONS

    own = catalog.get("optimizers", optimizer).DEFAULTS if optimizer in catalog.names("optimizers") else {}
    return {name: own.get(name, option.default) for name, option in OPTIONS.items()}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
