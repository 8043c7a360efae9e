"""Claims: what a shell does to the standard streams ends in no traceback: a reader that goes, a full disk, a stream that is closed."""

import errno
import io
import os
import sys

import pytest

from sciddm import cli, streams


class Odd(io.StringIO):
    """A place where writing fails, at once or when it is flushed."""

    def __init__(self, error, at_once=False):
        super().__init__()
        self.error, self.at_once = error, at_once

    def write(self, text):
        if self.at_once:
            raise self.error
        return super().write(text)

    def flush(self):
        raise self.error


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("argv", [["--version"], ["--print-completion", "bash"], ["info", "--config", "pde:smoke"]])
def test_a_reader_that_has_gone_ends_a_command_quietly(argv, at_once, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Odd(BrokenPipeError(errno.EPIPE, "x"), at_once))
    assert cli.main(argv) == 0 and "sciddm:" not in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--version"], ["info", "--config", "pde:smoke"]])
def test_a_full_disk_behind_standard_output_is_one_line_that_names_it(argv, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Odd(OSError(errno.ENOSPC, "x")))
    assert cli.main(argv) == 2
    assert capsys.readouterr().err.endswith("sciddm: standard output: No space left on device; free some space or choose another place\n")


def test_a_stream_that_is_closed_is_printed_to_nowhere_and_no_file_takes_its_place(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdout", None)
    kept = os.dup(1)
    os.close(1)
    try:
        streams.open_closed()
        with open(tmp_path / "mine", "w") as file:
            assert file.fileno() != 1
        print("said", flush=True)
        assert os.path.samestat(os.fstat(1), os.stat(os.devnull))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert (tmp_path / "mine").read_text() == ""
