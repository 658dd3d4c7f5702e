"""What the tools share: where the notebooks are, how one is named on the command line, how one is
executed.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
CACHE = ROOT / ".cache"
# The saved outputs come from this: the cpu profile, no bars, one thread and one hash seed, so that
# they are the same everywhere.
FIXED = {
    "COURSE_PROFILE": "cpu",
    "COURSE_QUIET": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
# how many times slower than a usual machine this one is
SLOW = float(os.environ.get("COURSE_SLOW", "1"))


def patience(seconds: float) -> float:
    """A time after which something counts as hanging: ten times what it usually takes, more where
    COURSE_SLOW says so.
    """
    return seconds * max(1.0, SLOW)


class Problem(Exception):
    """Something that the reader of the message can mend: shown without a traceback."""


@dataclass
class Execution:
    """One execution of a notebook: code cells run, wall-clock seconds, peak memory of the kernel in
    MiB.
    """

    cells: int = 0
    seconds: float = 0.0
    peak: float = 0.0


def sources(names: Iterable[str] = (), folder: Path = NOTEBOOKS) -> list[Path]:
    """The `NN_topic.py` files that `names` mean: `01`, `1`, `01_tokenization`, `tokenization` or a
    path; all of them without names.
    """
    known = sorted((folder / "src").glob("[0-9][0-9]_*.py"))
    if not known:
        raise Problem(f"there are no notebooks in {folder / 'src'}.")
    chosen = []
    for name in names:
        found = [p for p in known if means(Path(name).stem, p)]
        if not found:
            raise Problem(f"no notebook {name!r}; there are {', '.join(p.stem for p in known)}.")
        chosen += found
    return chosen or known


def means(wanted: str, path: Path) -> bool:
    """Whether `01`, `1`, `01_tokenization` or `tokenization` means the notebook at this path."""
    stem = path.stem
    return wanted in (stem, stem[:2], stem[:2].lstrip("0"), stem[3:])


def pair_of(source: Path) -> Path:
    """`notebooks/NN_topic.ipynb` for `notebooks/src/NN_topic.py`."""
    return source.parent.parent / f"{source.stem}.ipynb"


def source_of(pair: Path) -> Path:
    """`notebooks/src/NN_topic.py` for `notebooks/NN_topic.ipynb`."""
    return pair.parent / "src" / f"{pair.stem}.py"


def read(path: Path) -> NotebookNode:
    """A notebook from a file. Raises Problem where it is missing or no notebook."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except FileNotFoundError:
        raise Problem(f"{path} is missing; `make build` makes it.") from None
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise Problem(f"{path} is no notebook: {error}") from None


def dumps(nb: NotebookNode) -> str:
    """The notebook as it stands in a file."""
    return nbformat.writes(nb) + "\n"


def write(path: Path, text: str) -> None:
    """Writes a file in one step: whoever reads it sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


def execute(
    nb: NotebookNode,
    name: str,
    folder: Path,
    env: dict[str, str] | None = None,
    timeout: float | None = patience(600),
    done: Callable[[], None] = lambda: None,
) -> Execution:
    """Runs every cell in `folder`, in a fresh kernel of this very Python; the outputs land in `nb`.

    `env` is added to the kernel's environment, `done` is called after each cell. Raises Problem
    naming the notebook and the cell where a cell fails; `nb` then holds the outputs up to there,
    and the Problem's `run` what was measured.
    """
    run = Execution()
    current = [0]
    started = time.perf_counter()
    # no start-up files of the user, no shared history
    with tempfile.TemporaryDirectory() as ipython:
        environment = {**os.environ, "IPYTHONDIR": ipython, **(env or {})}
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
        client = NotebookClient(
            nb,
            kernel_name="python3",
            timeout=timeout,
            extra_arguments=["--log-level=ERROR"],
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
            on_cell_start=lambda cell, cell_index: current.__setitem__(0, cell_index),
            on_cell_executed=lambda cell, cell_index, execute_reply: done(),
        )
        with _Memory(client) as memory:
            try:
                client.execute(env=environment)
                for current[0], cell in enumerate(nb.cells):
                    _no_unknown_magic(cell)
            except (CellExecutionError, CellTimeoutError, DeadKernelError, _UnknownMagic) as error:
                problem = Problem(f"{name}, {_where(nb, current[0])}: {_reason(error, timeout)}")
                problem.run = run
                raise problem from None
            finally:
                run.cells = sum(
                    c.cell_type == "code" and c.execution_count is not None for c in nb.cells
                )
                run.seconds = time.perf_counter() - started
                run.peak = memory.peak
    return run


class _UnknownMagic(Exception):
    pass


def _no_unknown_magic(cell: NotebookNode) -> None:
    """An unknown magic is no error to the kernel: it prints a line and skips the rest of the
    cell.
    """
    for output in cell.get("outputs", []):
        if (
            output.output_type == "stream"
            and output.name == "stderr"
            and output.text.startswith("UsageError:")
        ):
            raise _UnknownMagic(output.text.strip())


def _where(nb: NotebookNode, index: int) -> str:
    first = next((line.strip() for line in nb.cells[index].source.splitlines() if line.strip()), "")
    return f"cell {index + 1} of {len(nb.cells)} (`{first[:60]}`)"


def _reason(error: Exception, timeout: float | None) -> str:
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}"
    if isinstance(error, CellTimeoutError):
        return f"still running after {timeout:g} s; make it shorter."
    if isinstance(error, DeadKernelError):
        return "the kernel died; most likely it ran out of memory."
    return str(error)


class _Memory:
    """Peak resident memory of a kernel and its children in MiB, sampled ten times a second."""

    def __init__(self, client: NotebookClient):
        self.client = client
        self.peak = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            provisioner = getattr(self.client.km, "provisioner", None)
            pid = getattr(provisioner, "pid", None)
            try:
                kernel = psutil.Process(pid) if pid else None
                family = [kernel, *kernel.children(recursive=True)] if kernel else []
                self.peak = max(self.peak, sum(p.memory_info().rss for p in family) / 2**20)
            except psutil.Error:
                continue


def command(main: Callable[[], int | None]) -> None:
    """Runs a tool: a Problem becomes a sentence on stderr and exit code 1."""
    try:
        sys.exit(main() or 0)
    except Problem as problem:
        sys.exit(f"{Path(sys.argv[0]).name}: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
