"""Settings: remembered, readable, and never a reason to fail."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cifar_tui import fsio
from cifar_tui.tui.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.toml"


def test_what_was_set_is_there_at_the_next_start(file: Path) -> None:
    settings = Settings.load(file)
    settings.set(theme="cifar-light", left_width=50, log_x=True, smoothing=0.9, form={"steps": "12"})
    assert settings.save()
    again = Settings.load(file)
    assert (again.theme, again.left_width, again.log_x, again.smoothing) == ("cifar-light", 50, True, 0.9)
    assert again.form == {"steps": "12"}
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def test_a_missing_file_means_defaults_and_is_not_made(file: Path) -> None:
    settings = Settings.load(file)
    assert settings.theme == "cifar-dark"
    assert settings.save() and not file.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"theme = ",
        b"theme = 3\nlog_x = 'yes'\nform = 4\n",
        b"[form]\nsteps = 4\n",
        b"a" * 10_000,
    ],
)
def test_a_damaged_file_means_defaults(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    settings = Settings.load(file)
    assert (settings.theme, settings.log_x, settings.form) == ("cifar-dark", False, {})
    settings.set(log_x=True)
    assert settings.save() and Settings.load(file).log_x


def test_sizes_out_of_range_are_not_taken(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("left_width = -4\nchart_height = 100000\nsmoothing = nan\n")
    settings = Settings.load(file)
    assert (settings.left_width, settings.chart_height, settings.smoothing) == (0, 0, 0.6)


def test_comments_and_keys_of_others_are_kept(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("# mine\ntheme = 'cifar-light'\nfuture = 7\n")
    settings = Settings.load(file)
    settings.set(log_x=True)
    settings.save()
    text = file.read_text()
    assert "# mine" in text and "future = 7" in text and "log_x = true" in text


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    settings = Settings.load(blocked / "settings.toml")
    settings.set(log_x=True)
    assert not settings.save() and settings.log_x


def test_an_unknown_setting_is_a_mistake_of_ours() -> None:
    with pytest.raises(AttributeError):
        Settings().set(colour="red")


def test_the_folder_can_be_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_TUI_CONFIG_DIR", str(tmp_path))
    assert Settings.load().path == tmp_path / "settings.toml"


def test_what_is_changed_while_it_is_written_is_written_the_next_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(file)
    settings.set(theme="cifar-light")
    write = fsio.replace_bytes

    def slowly(path: Path, data: bytes) -> None:
        settings.set(keys={"pause": "p"})
        write(path, data)

    monkeypatch.setattr(fsio, "replace_bytes", slowly)
    assert not settings.save()
    monkeypatch.undo()
    assert settings.dirty
    assert settings.save()
    assert Settings.load(file).keys == {"pause": "p"}


def test_two_threads_may_save_at_once(file: Path) -> None:
    settings = Settings.load(file)
    settings.set(theme="cifar-light", smoothing=0.9)
    threads = [threading.Thread(target=settings.save) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not settings.dirty
    assert (Settings.load(file).theme, Settings.load(file).smoothing) == ("cifar-light", 0.9)
