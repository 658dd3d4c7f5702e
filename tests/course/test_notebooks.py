"""What is saved of each notebook: it agrees with its source, its stubs with the references, its
figures have alt text.
"""

import ast
import inspect
import os
from html.parser import HTMLParser

import cells
import claims
import common
import instructor
import lesson_map
import pages
import pairs
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from stubs import box_of, stub_faults

from conftest import NO_NETWORK, ROOT, notebook_paths
from course_utils.checking.verdicts import OPEN, PASSES
from course_utils.exercises import catalog

TOPICS = [path.stem[3:] for path in notebook_paths()]


# --- Source and saved notebook --------------------------------------------------------------------


def test_the_saved_notebook_is_what_its_source_gives(notebook):
    assert pairs.disagreements(notebook) == []


@pytest.mark.skipif(not TOPICS, reason="there is no notebook yet")
def test_the_table_of_claims_is_what_the_notebooks_say():
    assert claims.disagreements(ROOT / "notebooks") == []


# --- Exercises in the notebook --------------------------------------------------------------------


def test_every_exercise_of_the_topic_is_in_the_notebook_and_no_other(notebook):
    topic = notebook.stem[3:]
    assert sorted(cells.checked(common.read(notebook))) == sorted(
        n for n in catalog.names() if n.startswith(f"{topic}.")
    )


@pytest.mark.skipif(not TOPICS, reason="there is no notebook yet")
def test_every_topic_with_exercises_has_a_notebook():
    assert [topic for topic in catalog.topics if topic not in TOPICS] == []


def test_every_stub_is_its_reference_with_the_body_left_out(notebook):
    stubs = {}
    for cell in cells.code_cells(common.read(notebook)):
        if "exercise" in cells.tags(cell):
            found = [
                node
                for node in cells.tree(cell.source).body
                if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            ]
            stubs |= {node.name: ast.get_source_segment(cell.source, node) for node in found}
    for name in cells.checked(common.read(notebook)):
        exercise = catalog.find(name)
        assert exercise.name in stubs, f"{name}: no cell tagged `exercise` defines {exercise.name}"
        assert stub_faults(stubs[exercise.name], inspect.getsource(exercise.reference)) == [], name


def test_every_exercise_says_the_difficulty_and_the_minutes_of_its_registry(notebook):
    nb = common.read(notebook)
    for name in cells.checked(nb):
        exercise = catalog.find(name)
        at = next(n for n, cell in enumerate(nb.cells) if f'check("{name}"' in cell.source)
        box = box_of(exercise)
        assert box in "\n".join(cell.source for cell in nb.cells[at - 3 : at]), (
            f"{name}: {box} is not before its cell"
        )


def test_the_readme_lists_the_notebook(notebook):
    assert f"](notebooks/{notebook.name})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_of_lessons_are_what_the_lessons_say():
    """And each lesson builds on lessons that there are, in no circle."""
    every = {lesson.number: lesson for lesson in lesson_map.lessons()}
    assert lesson_map.disagreements() == [] and len(every) == len(notebook_paths())
    left = dict(every)
    while ready := [
        number for number, lesson in left.items() if not set(lesson.needs) & left.keys()
    ]:
        for number in ready:
            del left[number]
    assert left == {} and all(set(lesson.needs) <= every.keys() for lesson in every.values())


REFERENCE = '''
def area(width: float, height: float = 1.0) -> float:
    """Area."""
    return width * height
'''
CLASS = '''
class Box(list):
    """A box."""

    def __init__(self, n: int):
        super().__init__(range(n))

    def area(self) -> int:
        """Area."""
        return len(self)

    def _half(self):
        return 0
'''


@pytest.mark.parametrize(
    ("stub", "fault"),
    [
        ('def area(width: float, height: float = 1.0) -> float:\n    """Area."""\n    ...', None),
        (
            'def area(width: float, height: float = 2.0) -> float:\n    """Area."""\n    ...',
            "other arguments",
        ),
        (
            'def area(width, height: float = 1.0) -> float:\n    """Area."""\n    ...',
            "other arguments",
        ),
        (
            'def area(width: float, height: float = 1.0):\n    """Area."""\n    ...',
            "other return type",
        ),
        (
            'def area(width: float, height: float = 1.0) -> float:\n    """Areas."""\n    ...',
            "another docstring",
        ),
        (
            'def area(width: float, height: float = 1.0) -> float:\n    """Area."""\n    return 0',
            "body is more",
        ),
        (
            'def area(width: float, height: float = 1.0) -> float:\n    """Area."""\n    width = 2\n    ...',
            "body is more",
        ),
        (
            'def areas(width: float, height: float = 1.0) -> float:\n    """Area."""\n    ...',
            "name",
        ),
        (REFERENCE, "body is more"),
    ],
)
def test_a_function_stub_that_differs_is_noticed(stub, fault):
    faults = stub_faults(stub, REFERENCE)
    assert faults == [] if fault is None else any(fault in found for found in faults)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((), None),
        (("(list)", ""), "other bases"),
        (("A box.", "A bin."), "another docstring"),
        (("-> int", "-> float"), "area: other return type"),
        (("def area", "def areas"), "area is missing"),
        (("        ...", "        return len(self)"), "nothing in it is left"),
        (("self, n: int", "self, m: int"), "__init__: "),
    ],
)
def test_a_class_stub_that_differs_is_noticed(change, fault):
    stub = CLASS.replace("        return len(self)\n", "        ...\n").replace(
        "    def _half(self):\n        return 0\n", ""
    )
    faults = stub_faults(stub.replace(*change) if change else stub, CLASS)
    assert faults == [] if fault is None else any(fault in found for found in faults)


def test_every_check_in_the_saved_notebook_says_that_nothing_was_attempted(notebook):
    nb = common.read(notebook)
    found = instructor.verdicts(nb)
    assert [name for name, _ in found] == cells.checked(nb)
    assert [
        v for _, v in found if v["verdict"] != OPEN or "not attempted" not in v["message"]
    ] == []
    assert all(verdict["goes_on_with"] == "the course's" for _, verdict in found)


def test_with_the_solutions_filled_in_every_check_passes(notebook, monkeypatch):
    """The instructor's version, cut down to set-up, imports, solutions and checks, so that it takes
    seconds.
    """
    nb = instructor.fill(pairs.from_source(common.source_of(notebook)), catalog.find)
    kept = {"setup", "imports", "exercise", "check"}
    nb.cells = [cell for cell in cells.code_cells(nb) if cells.tags(cell) & kept]
    monkeypatch.setenv("PYTHONPATH", str(NO_NETWORK), prepend=os.pathsep)
    common.execute(nb, notebook.stem, notebook.parent, common.FIXED)
    found = instructor.verdicts(nb)
    assert [name for name, _ in found] == cells.checked(nb)
    assert [v for _, v in found if (v["verdict"], v["goes_on_with"]) != (PASSES, "yours")] == []


# --- What a page made from the notebook shows -----------------------------------------------------


class _Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.alts = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alts.append((dict(attributes).get("alt") or "").strip())


def picture_faults(nb):
    """Pictures which reach the exported page without their alt text, or not at all."""
    page, _ = pages.Page().from_notebook_node(nb)
    images = _Images()
    images.feed(page)
    faults = [
        f"an image without alt text: number {n} of {len(images.alts)}"
        for n, alt in enumerate(images.alts, 1)
        if not described(alt)
    ]
    outputs = [output for cell in cells.code_cells(nb) for output in cell.outputs]
    for output in outputs:
        if "image/png" in output.get("data", {}):
            alt = output.metadata.get("image/png", {}).get("alt", "")
            faults += (
                []
                if alt.strip() in images.alts and described(alt)
                else [f"a figure that the page does not show with its alt text {alt!r}"]
            )
    return faults


def described(alt):
    # nbconvert's own filling
    return bool(alt.strip()) and not alt.startswith("No description has been provided")


def test_every_figure_reaches_the_exported_page_with_its_alt_text(notebook):
    assert picture_faults(common.read(notebook)) == []


def test_a_copy_that_colab_saved_becomes_a_page():
    """Colab saves its widgets by their ids, without the "state" that nbconvert asks for."""
    output = new_output(
        "display_data",
        data={"image/png": "AAAA", pairs.VIEW: {"model_id": "0"}},
        metadata={"image/png": {"alt": "A line that rises."}},
    )
    nb = new_notebook(cells=[new_code_cell("", outputs=[output])])
    nb.metadata.widgets = {
        "application/vnd.jupyter.widget-state+json": {"0": {"model_name": "VBoxModel"}}
    }
    assert picture_faults(nb) == []
    assert "widgets" in nb.metadata, "the notebook itself was changed"


def test_every_tool_makes_its_pages_the_way_that_keeps_alt_text():
    makers = [
        path.name
        for path in (ROOT / "tools").glob("*.py")
        if "HTMLExporter" in path.read_text(encoding="utf-8")
    ]
    assert makers == ["pages.py"]


@pytest.mark.parametrize(
    ("data", "alt", "faulty"),
    [
        ({"image/png": "AAAA"}, "A line that rises & falls.", False),
        ({"image/png": "AAAA"}, "", True),
        (
            {"image/png": "AAAA", "application/vnd.jupyter.widget-view+json": {"model_id": "0"}},
            "A line that rises.",
            False,
        ),
        ({"text/html": "<img src='x.png' alt='A line that falls.'>"}, "", False),
        ({"text/html": "<img src='x.png'>"}, "", True),
    ],
)
def test_a_picture_without_alt_text_is_noticed(data, alt, faulty):
    output = new_output(
        "display_data", data=data, metadata={"image/png": {"alt": alt}} if alt else {}
    )
    assert bool(picture_faults(new_notebook(cells=[new_code_cell("", outputs=[output])]))) is faulty
