"""Stop waits for an import, and is not lost."""

import signal
import sys
import threading

import pytest

from course_utils.machine.imports import IN_ONE_PIECE, in_one_piece

# Stop arrives while it is being imported
SLOW = "import signal\nsignal.raise_signal(signal.SIGINT)\nfinished = True\n"


@pytest.fixture
def slow_module(tmp_path, monkeypatch):
    (tmp_path / "stopped_import.py").write_text(SLOW, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("stopped_import", None)
    IN_ONE_PIECE.discard("stopped_import")


def test_stop_waits_until_the_import_is_done_and_then_comes(slow_module):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        with in_one_piece():
            import stopped_import
    assert stopped_import.finished and "stopped_import" in IN_ONE_PIECE
    assert signal.getsignal(signal.SIGINT) is before


def test_without_it_stop_leaves_no_module(slow_module):
    with pytest.raises(KeyboardInterrupt):
        import stopped_import  # noqa: F401
    assert "stopped_import" not in sys.modules


def test_an_error_of_the_import_goes_on_its_way_and_stop_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ImportError):
        with in_one_piece():
            import no_such_module_at_all  # noqa: F401
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_it_holds_nothing_back():
    seen = []

    def load():
        with in_one_piece():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert seen == [before]
