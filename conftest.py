"""How pytest runs the course: every notebook cell by cell, without a network, and one notebook
alone with `--nb`.
"""

import os

import scope
from common import FIXED, ROOT, means, patience

# before anything starts a thread or a kernel; the saved outputs come from the same settings
os.environ.update(FIXED)

import pytest  # noqa: E402
from nbformat.v4 import new_code_cell  # noqa: E402
from nbval.plugin import IPyNbCell, IPyNbFile  # noqa: E402

NO_NETWORK = ROOT / "tests" / "no_network"
SWEEP = "from course_utils.classroom.widgets import sweep\nprint(sweep())"
collect_ignore_glob = ["build", "notebooks/src", "tools", "tests/no_network"]


def pytest_addoption(parser):
    parser.addoption(
        "--nb",
        metavar="NN",
        help="only what concerns this notebook: its number or its name, e.g. 01",
    )


def pytest_configure(config):
    config.option.nbval_cell_timeout = patience(config.option.nbval_cell_timeout)
    # nbval looks from the current folder; the setting means this one
    if config.option.nbval_sanitize_with:
        config.option.nbval_sanitize_with = str(ROOT / config.option.nbval_sanitize_with)


# --- Notebooks: nbval, made stricter --------------------------------------------------------------


class Notebook(IPyNbFile):
    """A notebook whose kernel has no network, and whose cells are followed by a test of its
    views.
    """

    def setup(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(NO_NETWORK), prepend=os.pathsep)
            super().setup()

    def collect(self):
        number = -1
        for number, plain in enumerate(super().collect()):  # noqa: B007
            yield Cell.from_parent(
                self, name=plain.name, cell_num=number, cell=plain.cell, options=plain.options
            )
        views = new_code_cell(SWEEP, execution_count=1)
        yield Widgets.from_parent(
            self,
            name="widgets",
            cell_num=number + 1,
            cell=views,
            options={"check": False, "skip": False, "check_exception": False},
        )


class Cell(IPyNbCell):
    """A cell that fails also where nbval is lenient: when it was never run, and when a magic in it
    is unknown.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # for an output to arrive once the kernel has replied; nbval's 5 s are few on a busy machine
        self.output_timeout = patience(60)

    def runtest(self):
        if self.cell.execution_count is None:
            self.raise_cell_error(
                "The saved cell was never run, so its output cannot be compared: run the notebook and save it."
            )
        super().runtest()
        for output in self.test_outputs:
            if (
                output.output_type == "stream"
                and output.name == "stderr"
                and output.text.startswith("UsageError:")
            ):
                self.raise_cell_error("The rest of the cell was skipped", output.text)


class Widgets(Cell):
    """Draws every view of the notebook at the least, default and greatest values of its
    controls.
    """

    def reportinfo(self):
        return self.path, 0, f"{self.path.relative_to(self.config.rootpath).as_posix()}::widgets"


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Notebooks are those of `notebooks/`; docstrings are tested in `course_utils/` only."""
    collectors = yield
    kept = []
    for collector in collectors:
        if isinstance(collector, IPyNbFile):
            if file_path.parent == ROOT / "notebooks":
                kept.append(Notebook.from_parent(parent, path=file_path))
        elif (
            type(collector).__name__ != "DoctestModule"
            or ROOT / "course_utils" in file_path.parents
        ):
            kept.append(collector)
    return kept


# --- One test per notebook, one test per exercise -------------------------------------------------


def notebook_paths():
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def pytest_generate_tests(metafunc):
    """A test with an argument `notebook` runs for every notebook, one with `due` for those that
    scope.py or `--nb` names, one with `exercise` for every exercise, one with `tried` for three of
    them (all with FULL=1).
    """
    if "notebook" in metafunc.fixturenames:
        metafunc.parametrize("notebook", notebook_paths(), ids=lambda path: path.stem)
    if "due" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--nb")
        due = (
            [path for path in notebook_paths() if means(wanted, path)] if wanted else scope.chosen()
        )
        metafunc.parametrize("due", due, ids=lambda path: path.stem)
    if "exercise" in metafunc.fixturenames:
        from course_utils.exercises import catalog

        metafunc.parametrize("exercise", catalog.names())
    # what only the engine answers for: a function of lists, one of tensors, a class
    if "tried" in metafunc.fixturenames:
        from course_utils.exercises import catalog

        metafunc.parametrize(
            "tried",
            catalog.names()
            if scope.FULL
            else ["tokenization.merge", "sampling.top_k", "kl_bias.KLTargetLoss"],
        )


def pytest_collection_modifyitems(config, items):
    """`--nb`: keeps what concerns one notebook. With several workers, the long tests come first."""
    if hasattr(config, "workerinput"):
        long = ("test_colab.py", ".ipynb", "test_browser.py")
        items.sort(
            key=lambda item: next(
                (n for n, end in enumerate(long) if item.path.name.endswith(end)), len(long)
            )
        )
    if not (wanted := config.getoption("--nb")):
        return
    named = [path for path in notebook_paths() if means(wanted, path)]
    if not named:
        raise pytest.UsageError(
            f"--nb {wanted}: no such notebook; there are {', '.join(p.stem for p in notebook_paths()) or 'none'}."
        )
    config.hook.pytest_deselected(items=[item for item in items if not _concerns(item, named[0])])
    items[:] = [item for item in items if _concerns(item, named[0])]


def _concerns(item, notebook):
    topic = notebook.stem[3:]
    asked = getattr(getattr(item, "callspec", None), "params", {})
    # unit tests and doctests of the lesson's room
    rooms = (ROOT / "tests" / topic, ROOT / "course_utils" / topic)
    mine = item.path == notebook or any(room in item.path.parents for room in rooms)
    return (
        mine
        or notebook in (asked.get("notebook"), asked.get("due"))
        or str(asked.get("exercise", asked.get("tried", ""))).startswith(f"{topic}.")
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several workers (pytest -n 2): a file stays with one of them, so a kernel does; only
    Colab's tests, long and few, are dealt one by one.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return nodeid if file.endswith("test_colab.py") else file

    config.option.loadscopereorder = False  # keep the order: long ones first
    return Scheduling(config, log)


@pytest.fixture
def displayed():
    """Captures what a cell would show: a list of (data, metadata) bundles."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()

    def run(action):
        with capture_output() as seen:
            action()
        return [(out.data, out.metadata) for out in seen.outputs]

    return run
