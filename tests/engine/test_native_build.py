"""The steps in C are compiled once, where nobody else can write; where that fails the fused ones run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_tui import events
from cifar_tui.engine import native_build
from cifar_tui.engine.native_build import NoNativeError

from .conftest import World

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is for Linux and macOS")
needs_compiler = pytest.mark.skipif(not native_build.can_compile(), reason="there is no C compiler here")
MakeWorld = Callable[..., World]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of the user, and nothing remembered of the machine."""
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_names, **_options: str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    _forget()
    yield tmp_path / "cache" / "native"
    _forget()


def _forget() -> None:
    native_build.library.cache_clear()
    native_build._recipe.cache_clear()


def compiler_that(tmp_path: Path, script: str) -> str:
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@needs_compiler
def test_they_are_compiled_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not native_build.is_built()
    assert native_build.library().cifar_tui_steps
    assert native_build.is_built()
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o022 == 0
    _forget()
    monkeypatch.setattr(native_build, "_compile", lambda *_arguments: pytest.fail("compiled again"))
    assert native_build.library().cifar_tui_steps


@needs_compiler
def test_another_source_or_compiler_is_compiled_anew(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = native_build._recipe().name
    _forget()
    monkeypatch.setenv("CC", compiler_that(tmp_path, 'exec cc "$@" -DOTHER'))
    assert native_build._recipe().name != first


@needs_compiler
@pytest.mark.parametrize("kind", ["open to all", "a file"])
def test_a_cache_that_others_can_write_or_that_is_none_is_not_used(cache: Path, kind: str) -> None:
    if kind == "a file":
        cache.parent.write_text("no folder")
    else:
        cache.mkdir(parents=True)
        cache.chmod(0o777)
    assert native_build.library().cifar_tui_steps
    assert not native_build.is_built()


@needs_compiler
def test_a_kept_library_that_is_damaged_is_made_anew(cache: Path) -> None:
    cache.mkdir(parents=True, mode=0o700)
    (cache / native_build._recipe().name).write_bytes(b"no library")
    assert native_build.library().cifar_tui_steps
    assert (cache / native_build._recipe().name).read_bytes() != b"no library"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'steps.c:3: error: no such thing' >&2; exit 1",
            "knows neither -march=native nor -mcpu=native",
        ),
        ('case "$*" in *-dM*) ;; *) echo "x.c:3: error: no such thing" >&2; exit 1;; esac', "no such thing"),
        ('case "$*" in *-dM*) ;; *) : ;; esac', "too short"),
    ],
)
def test_a_compiler_that_fails_is_named_and_the_fused_steps_run(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_world: MakeWorld,
    script: str,
    reason: str,
) -> None:
    monkeypatch.setenv("CC", compiler_that(tmp_path, script))
    with pytest.raises(NoNativeError, match=reason):
        native_build.library()
    world = make_world(steps=5)
    world.trainer.run()
    (note,) = [note for note in world.of(events.Note) if note.id == "W-ENGINE"]
    assert note.text.startswith("engine native could not be prepared (")
    assert note.text.endswith("): engine fused runs instead")
    assert world.trainer.banner()["engine"] == "fused"


def test_without_a_compiler_the_fused_steps_run_and_it_is_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch, make_world: MakeWorld
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler --fast")
    assert not native_build.can_compile()
    with pytest.raises(NoNativeError, match="no-such-compiler was not found"):
        native_build.library()
    world = make_world(steps=5)
    world.trainer.run()
    (note,) = [note for note in world.of(events.Note) if note.id == "I-ENGINE"]
    assert note.text == "without a C compiler the fused steps run; native ones are about twice as fast"
    assert world.trainer.banner()["engine"] == "fused"


@needs_compiler
def test_compiling_is_a_phase_of_the_run(cache: Path, make_world: MakeWorld) -> None:
    first, second = make_world(steps=5), make_world(steps=5)
    for world, told in ((first, ["native"]), (second, [])):
        assert [phase.text for phase in world.of(events.Phase) if phase.phase == "compile"] == told
