"""The root command: which commands there are, and how every error ends.

A command's module is imported when the command is called, so that ``--help`` stays quick.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import cifar_tui
from cifar_tui.cli.common import DataDir, RunsDir
from cifar_tui.errors import CifarTuiError, InterruptedBySignal, StorageError, UsageError
from cifar_tui.text import nearest, safe_text

# name: (module, attribute, help line)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("demo", "app", "The whole loop on drawn pictures: no network, under a minute."),
    "data": ("data", "app", "Datasets: status, download, verify, stats."),
    "samples": ("samples", "app", "Pictures of a dataset, in the terminal or as a PNG file."),
    "models": ("models", "app", "Models, and the layers of one."),
    "optimizers": ("choices", "optimizers", "Optimizers and their defaults."),
    "presets": ("choices", "presets", "Presets: recipes with a name."),
    "train": ("train", "app", "Train a model, or go on with a run."),
    "evaluate": ("evaluate", "app", "Report of a run on train and test."),
    "runs": ("runs", "app", "Runs: list, show, compare, plot, pause, stop, rename, delete, export."),
    "watch": ("watch", "app", "Watch a run that another process trains."),
    "fork": ("fork", "app", "A new run from a checkpoint of another."),
    "parity": ("parity", "app", "The original notebook's two trainings, ours beside theirs."),
    "bench": ("bench", "app", "Steps per second on this machine, beside plain PyTorch loops."),
    "config": ("config", "app", "Settings and folders, and where each comes from."),
    "doctor": ("doctor", "app", "What this machine has, and whether all is well."),
}

GROUPS = {"data", "runs", "config"}  # they need another word

EPILOG = (
    "Exit codes: 0 done; 1 our own bug; 2 usage; 3 diverged; 65 damaged; 66 not there; 69 network or "
    "device unavailable; 71 out of memory; 73 cannot create; 74 disk; 75 locked; 76 protocol; "
    "77 permission; 78 config file; 128+n signal. Add --debug to any command for a traceback."
)


class LazyGroup(TyperGroup):
    """A group that lists its commands from a table, and imports a command when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command of this name, imported now; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module_name, attribute, _help = COMMANDS[cmd_name]
        module = importlib.import_module(f"cifar_tui.cli.{module_name}")
        command = typer.main.get_command(getattr(module, attribute))
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names; an unknown one gets the nearest name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = nearest(args[0], COMMANDS)
            hint = f"cifar-tui {near}" + (" --help" if near in GROUPS else "") if near else "cifar-tui --help"
            raise UsageError(f'unknown command "{safe_text(args[0], 80)}"', hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The list of commands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    add_completion=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    data_dir: DataDir = None,
    runs_dir: RunsDir = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Train and understand CIFAR models from a terminal.

    Without a command the app opens, on --data-dir and --runs-dir. First steps: cifar-tui demo
    """
    if version:
        print(f"cifar-tui {cifar_tui.__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        from cifar_tui.cli.start import open_app

        open_app(data_dir, runs_dir)
    for flag, value in (("--data-dir", data_dir), ("--runs-dir", runs_dir)):
        if value is not None:
            raise UsageError(
                f"{flag} stands before a command; there it is for the app, a command takes it after its name",
                hint=f"cifar-tui {ctx.invoked_subcommand} --help",
            )


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code. No exception leaves it, but with ``--debug``."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    as_json = "--json" in arguments
    _prepare_streams()
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except CifarTuiError as error:
        if debug:
            raise
        return _end_with(error, as_json)
    except KeyboardInterrupt:
        code = 130
        _end_with(InterruptedBySignal(code - 128, "interrupted"), as_json)
    except BrokenPipeError:
        _silence_stdout()
        return 141
    except OSError as error:
        if debug:
            raise
        if error.errno == errno.ENOSPC:
            _silence_stdout()
            return _end_with(_no_space(), as_json)
        return _own_bug(error, as_json)
    except Exception as error:
        if debug:
            raise
        return _own_bug(error, as_json)
    return code


def _prepare_streams() -> None:
    """A closed stream swallows what it is given; signs that the terminal's encoding lacks are escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for the process
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _end_with(error: CifarTuiError, as_json: bool) -> int:
    """Show an error after what was printed before it; returns its exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()
    _show(error, as_json)
    return error.exit_code


def _no_space() -> StorageError:
    return StorageError("cannot write the output: no space left", hint="send it to another disk")


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    streams = sys.stdout, sys.stderr
    try:
        result = command.main(args=arguments, prog_name="cifar-tui", standalone_mode=False)
    except SystemExit as leaving:
        # Typer takes a closed pipe for an exit with code 1, and wraps the streams.
        sys.stdout, sys.stderr = streams
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        raise
    except Exception as error:
        if type(error).__name__ == "Abort":
            raise KeyboardInterrupt from None
        describe = getattr(error, "format_message", None)
        if describe is None or not hasattr(error, "exit_code"):
            raise
        raise _usage(error, describe(), arguments) from None
    if result == 130 and isinstance(result, int):  # Typer's answer to Ctrl+C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _usage(error: Exception, message: str, arguments: list[str]) -> UsageError:
    """Typer's own complaint in our words; its context knows the command."""
    context = getattr(error, "ctx", None)
    words = arguments[: 2 if arguments[0] in GROUPS else 1] if arguments and arguments[0] in COMMANDS else []
    if any(word.startswith("-") for word in words):
        words = words[:1]
    path = context.command_path if context is not None else " ".join(["cifar-tui", *words])
    text = " ".join(message.split()) or type(error).__name__
    return UsageError(text[0].lower() + text[1:], hint=f"{path} --help")


def _show(error: CifarTuiError, as_json: bool) -> None:
    with contextlib.suppress(OSError, ValueError):
        if as_json:
            from cifar_tui.fsio import dump_json

            print(dump_json(error.to_json()), file=sys.stderr)
        else:
            print(error.block(), file=sys.stderr)


def show_bug(error: Exception) -> int:
    """Log an exception that is a bug of ours and say where; returns its exit code."""
    return _own_bug(error, as_json=False)


def _own_bug(error: Exception, as_json: bool) -> int:
    """Write the traceback to the log and say where it is."""
    import traceback

    import platformdirs

    text = "".join(traceback.format_exception(error))
    log = Path(platformdirs.user_log_dir("cifar-tui", appauthor=False)) / "cifar-tui.log"
    try:
        from cifar_tui.fsio import make_folder

        make_folder(log.parent)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")
        place = str(log)
    except OSError:
        place = "not written; run again with --debug"
    shown = CifarTuiError(
        f"a bug in cifar-tui: {type(error).__name__}: {error}",
        where=place,
        hint="run the same command with --debug for the traceback",
    )
    _show(shown, as_json)
    return shown.exit_code


def _silence_stdout() -> None:
    """Keep the interpreter from complaining about a closed pipe when it flushes at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
