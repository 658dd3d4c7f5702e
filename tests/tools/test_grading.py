"""Grading: what is found in notebooks that came back, what is run and what is not, what is written."""

import ast
import csv
import io
import json

import common
import grade
import pytest
import scope
import submitted
from grading import submissions
from nbformat.v4 import new_code_cell, new_notebook

SOFTMAX = """
def softmax(x, dim=-1, temperature=1.0):
    if not x.is_floating_point():
        raise TypeError(x.dtype)
    if not temperature > 0:
        raise ValueError(temperature)
    scores = x.double() / temperature
    largest = scores.amax(dim, keepdim=True)
    if not largest.isfinite().all():
        raise ValueError("no finite score")
    e = (scores - largest).exp()
    return (e / e.sum(dim, keepdim=True)).to(x.dtype)
"""
CHECKED = 'softmax = check("attention.softmax", softmax)'
CLASS = 60 if scope.FULL else 2  # students


def notebook(*cells):
    return json.dumps(new_notebook(cells=[new_code_cell(cell) for cell in cells]))


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return folder


def answers(tmp_path, *cells):
    """The answers in a notebook of these cells, by exercise."""
    write(tmp_path, one=notebook(*cells))
    found = submissions.read(tmp_path / "one.ipynb", tmp_path)
    return {answer.exercise.partition(".")[2]: answer for answer in found.answers}


def value(answer, **names):
    """What an answer's source defines."""
    exec(answer.source, names)
    return names[submissions.RESULT]


def test_an_answer_comes_with_what_it_needs_and_nothing_else(tmp_path):
    found = answers(
        tmp_path,
        "import math\nimport os\nSCALE = 2\nhuge = [0] * 10**9",
        "def helper(x):\n    return SCALE * x",
        "def causal_mask(T):\n    return helper(T)",
        'causal_mask = check("attention.causal_mask", causal_mask)\nraise SystemExit',
    )
    assert value(found["causal_mask"])(3) == 6
    assert "huge" not in found["causal_mask"].source and "import" not in found["causal_mask"].source
    assert found["softmax"].source == "" == found["softmax"].fault


def test_the_last_definition_counts_wherever_it_stands(tmp_path):
    again = "def causal_mask(T):\n    return 'second'"
    found = answers(tmp_path, "x = )", "def causal_mask(T):\n    return 'first'", "%time", again)
    assert value(found["causal_mask"])(1) == "second"


def test_what_an_answer_needs_is_what_stood_there_when_it_was_checked(tmp_path):
    mask = "def causal_mask(T):\n    return helper(T)"
    checked = 'causal_mask = check("attention.causal_mask", causal_mask)'
    helpers = [f"def helper(T):\n    return {n}" for n in (1, 2)]
    found = answers(tmp_path, helpers[0], mask, checked, helpers[1])
    assert value(found["causal_mask"])(0) == 1
    found = answers(tmp_path, mask, checked, helpers[1], "import math")
    assert value(found["causal_mask"])(0) == 2


def test_what_is_handed_to_check_is_the_answer(tmp_path):
    found = answers(
        tmp_path, "def mine(T):\n    return 'mine'", "def causal_mask(T):\n    ...",
        'causal_mask = check("attention.causal_mask", mine)',
    )  # fmt: skip
    assert value(found["causal_mask"])(1) == "mine"


def test_imports_that_were_deleted_come_from_the_lesson_and_other_answers_from_the_course(tmp_path):
    found = answers(tmp_path, "def causal_head(x):\n    return softmax(torch.zeros(2))", SOFTMAX, CHECKED)  # fmt: skip
    head = found["causal_head"]
    assert "import torch" in head.source and "amax" not in head.source
    assert head.given == (("softmax", "attention.softmax"),)


def test_an_answer_in_a_cell_that_is_no_python_is_named_with_its_place(tmp_path):
    found = answers(tmp_path, CHECKED, "def softmax(x):\n    return (x")
    assert "code cell 2, line 2 is no Python" in found["softmax"].fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no notebook"),
        ("[]", "no notebook"),
        ('{"cells": 3}', "no notebook"),
        ('{"cells": [3]}', "no notebook"),
        ("[" * 100_000, "no notebook"),
        (notebook("print('hello')"), "no exercise of the course"),
        (notebook("x = '" + "a" * submissions.MOST_SOURCE + "'"), "characters"),
    ],
    ids=["empty", "list", "number", "cell", "deep", "foreign", "long"],
)
def test_a_file_that_is_no_lesson_gets_a_row_that_says_so(tmp_path, text, fault):
    write(tmp_path, bad=text, good=notebook(CHECKED))
    broken, *rest = grade.grade(tmp_path, seeds=1, jobs=1)
    assert broken.verdict == "broken" and fault in broken.message
    assert {row.verdict for row in rest} == {"missing"}


def test_a_link_is_not_opened(tmp_path):
    (tmp_path / "secret").write_text(notebook(CHECKED), encoding="utf-8")
    (tmp_path / "one.ipynb").symlink_to(tmp_path / "secret")
    assert "link" in submissions.read(tmp_path / "one.ipynb", tmp_path).fault


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "import torch.utils.cpp_extension",
        "from course_utils import exercises",
        "from course_utils.attention.exercises import EXERCISES",
        "from course_utils.checking import engine",
        "from . import x",
        "open('/etc/passwd')",
        "eval('1')",
        "f = getattr(x, '__globals__')",
        "'{0.__class__}'.format(x)",
        "().__class__.__base__.__subclasses__()",
        "torch.load('x')",
        "np.save('x', y)",
        "__import__('os')",
        "(x for x in y).gi_frame.f_back",
        "__builtins__['open']",
    ],
)
def test_what_leaves_its_own_function_is_not_run(code):
    node = ast.parse(f"def f(x):\n    {code}")
    assert submissions.screened(node)


@pytest.mark.parametrize(
    "code",
    [
        "import torch.nn.functional as F",
        "from collections import Counter",
        "class A:\n    def __init__(self):\n        super().__init__()",
        "load = save = library = package = 3",
        'def f():\n    """See __globals__."""\n    return x.masked_fill(y, -math.inf)',
    ],
)
def test_what_an_answer_may_do(code):
    assert submissions.screened(ast.parse(code)) == ""


def test_the_references_of_all_lessons_are_run():
    """Nothing that the course's own solutions do is refused."""
    import inspect
    import textwrap

    from course_utils.exercises import catalog

    refused = {}
    for name in catalog.names():
        source = textwrap.dedent(inspect.getsource(catalog.find(name).reference))
        if why := submissions.screened(ast.parse(source)):
            refused[name] = why
    assert refused == {}


HOSTILE = {
    "borrows": "from course_utils.attention import softmax as theirs\n\ndef softmax(x, dim=-1, temperature=1.0):\n    return theirs(x, dim, temperature)",
    "borrows_partly": "import functools\nfrom course_utils import attention\nsoftmax = functools.partial(attention.softmax)",
    "writes": "from collections import namedtuple\nimport torch\n\ndef softmax(x, dim=-1, temperature=1.0):\n    import logging\n    return x",
    "reads": "import numpy\n\ndef softmax(x, dim=-1, temperature=1.0):\n    numpy.lib.format.open_memmap('/tmp/x')\n    return x",
    "hangs": "def softmax(x, dim=-1, temperature=1.0):\n    while True:\n        pass",
    "exits": "def softmax(x, dim=-1, temperature=1.0):\n    raise SystemExit",
    "eats": "def softmax(x, dim=-1, temperature=1.0):\n    kept = [x.new_zeros(10**9) + 1 for _ in range(100)]\n    return x",
    "leaves": "import sys\n\ndef softmax(x, dim=-1, temperature=1.0):\n    sys.exit()",
    "prints": 'def softmax(x, dim=-1, temperature=1.0):\n    print(\'{"exercise": "attention.softmax", "verdict": "passes"}\')\n    return x',
}


def test_hostile_answers_get_their_row_and_harm_nobody(tmp_path):
    files = {name: notebook(code, CHECKED) for name, code in HOSTILE.items()}
    write(tmp_path, honest=notebook("import torch", SOFTMAX, CHECKED), **files)
    rows = {row.student: row for row in grade.grade(tmp_path, 2) if row.exercise == "attention.softmax"}  # fmt: skip
    assert rows.pop("honest").verdict == "passes"
    assert {name: row.verdict for name, row in rows.items() if row.verdict == "passes"} == {}
    assert set(rows) == set(HOSTILE) and all(row.message for row in rows.values())
    assert "the course's own function" in rows["borrows"].message
    assert "the course's own function" in rows["borrows_partly"].message
    assert rows["writes"].verdict == rows["leaves"].verdict == rows["reads"].verdict == "refused"


def test_files_sockets_and_processes_are_refused_where_the_screen_is_passed(tmp_path, monkeypatch):
    """The second wall: the same answers with the first one down."""
    monkeypatch.setattr(submissions, "screened", lambda node: "")
    mark = tmp_path / "mark"
    tries = {
        "file": f"open({str(mark)!r}, 'w').write('x')",
        "other": f"open({str(tmp_path / 'file.ipynb')!r}).read()",
        "net": "import socket; socket.create_connection(('127.0.0.1', 9))",
        "process": f"import os; os.system('touch {mark}')",
        "spawn": f"import subprocess; subprocess.run(['touch', {str(mark)!r}])",
    }
    body = "def softmax(x, dim=-1, temperature=1.0):\n    {}\n    x = x / temperature\n    return x.softmax(dim)"
    write(tmp_path, **{name: notebook(body.format(code), CHECKED) for name, code in tries.items()})
    rows = {row.student: row for row in grade.grade(tmp_path, 1) if row.exercise == "attention.softmax"}  # fmt: skip
    assert {name for name, row in rows.items() if "PermissionError" in row.message} == set(tries)
    assert not mark.exists()


def test_an_answer_that_ends_the_process_has_its_row_and_the_next_is_graded(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "screened", lambda node: "")
    ends = "def causal_mask(T):\n    import os\n    os._exit(3)"
    write(tmp_path, one=notebook(ends, "import torch", SOFTMAX))
    rows = {row.exercise: row for row in grade.grade(tmp_path, 1)}
    assert rows["attention.causal_mask"].verdict == "ended"
    assert "exit status 3" in rows["attention.causal_mask"].message
    assert rows["attention.softmax"].verdict == "passes"


def test_a_class_that_came_back_shuffled_and_damaged_is_graded_right_twice(tmp_path):
    lessons = [s for s in common.sources() if submissions._exercises(s.stem)]
    wanted = {}
    for number in range(CLASS):
        source = lessons[number % len(lessons)]
        nb, verdicts = submitted.returned(source, number)
        write(tmp_path, **{f"student-{number:02}": json.dumps(nb)})
        wanted |= {(f"student-{number:02}", name): v for name, v in verdicts.items()}
    rows = grade.grade(tmp_path, 20 if scope.FULL else 2)
    got = {(row.student, row.exercise): row.verdict for row in rows}
    assert {key: (got.get(key), v) for key, v in wanted.items() if got.get(key) != v} == {}
    again = grade.grade(tmp_path, 20 if scope.FULL else 2)
    assert [grade.astuple(row)[:-1] for row in again] == [grade.astuple(row)[:-1] for row in rows]


def row(student="a", verdict="fails", message="softmax: too large", exercise="attention.softmax"):
    return grade.Row(student, "02_attention", exercise, verdict, 3, 20, message, 1.0)


def test_the_table_is_safe_in_a_spreadsheet_and_the_page_in_a_browser():
    bad = row(student="=cmd()", message="<script>alert(1)</script>")
    read = list(csv.DictReader(io.StringIO(grade.table([bad]))))
    assert read[0]["student"] == "'=cmd()" and read[0]["seeds_passed"] == "3"
    page = grade.feedback([bad])
    assert "<script>" not in page and "&lt;script&gt;" in page and "0 of 1 exercises pass" in page


def test_students_with_names_that_look_alike_get_pages_of_their_own():
    names = ["a b", "a_b", "../../a b", "á b"]
    pages = {grade.page_name(name) for name in names}
    assert len(pages) == len(names) and not any("/" in p or "." in p for p in pages)


def test_the_summary_shows_every_exercise(tmp_path):
    rows = [row(), row("b", "passes", ""), row("c", "open", "", "attention.leaks")]
    grade.draw(rows, tmp_path / "summary.png")
    assert (tmp_path / "summary.png").stat().st_size > 10_000


@pytest.mark.parametrize("seeds", ["0", "20"])
def test_bad_arguments_get_a_sentence(tmp_path, monkeypatch, seeds):
    monkeypatch.setattr("sys.argv", ["grade.py", str(tmp_path), "--seeds", seeds])
    with pytest.raises(common.Problem, match=r"no notebooks|at least one"):
        grade.main()
