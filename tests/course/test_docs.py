"""The house rules that a program can check: docstrings with examples, direction of imports, nothing
unsafe, README and lint.
"""

import ast
import re
import subprocess
import sys

import common
import pytest

from conftest import ROOT, notebook_paths

# what only shows and asks
UPSTAIRS = {
    "matplotlib",
    "ipywidgets",
    "IPython",
    "course_utils.classroom",
    "course_utils.exercises",
}
MOST_LINES = 450
PACKAGE = ROOT / "course_utils"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
HOUSE = ("classroom", "checking", "machine", "stories")  # rooms without a lesson
ROOMS = tuple(
    sorted(
        path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in HOUSE
    )
)
# What lessons are made of, and what they share: everything but the classroom, the engine of
# exercises and the checkers.
BELOW = {
    name: path
    for name, path in MODULES.items()
    if not name.startswith(("classroom/", "checking/"))
    and path.name not in ("__init__.py", "exercises.py")
}
UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "pandas.read_pickle",
    "pd.read_pickle",
    "os.system",
}
UNSAFE_OPTIONS = {"allow_pickle", "trust_remote_code", "shell"}


def read(path):
    return path.read_text(encoding="utf-8")


def each(modules):
    return pytest.mark.parametrize("path", modules.values(), ids=modules.keys())


# --- Docstrings -----------------------------------------------------------------------------------


def undocumented(source, examples=False):
    """The public functions, classes and methods without a docstring; with `examples`, also those at the top without a `>>>`."""
    tree = ast.parse(source)
    missing = []
    if not ast.get_docstring(tree):
        missing.append("the module")
    for node in tree.body:
        if not public(node):
            continue
        text = " ".join(filter(None, map(ast.get_docstring, [node, *members(node)])))
        if ast.get_docstring(node) is None or (examples and ">>>" not in text):
            missing.append(node.name)
        missing += [
            f"{node.name}.{member.name}"
            for member in members(node)
            if ast.get_docstring(member) is None and not trivial(member)
        ]
    return missing


def public(node):
    return isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")


def members(node):
    return (
        [member for member in node.body if public(member)] if isinstance(node, ast.ClassDef) else []
    )


def trivial(method):
    """True for one-liners, for what torch calls, and for properties: their names say it, the class
    explains it.
    """
    return (
        len(method.body) == 1
        or method.name in ("forward", "backward")
        or bool(method.decorator_list)
    )


@each({name: path for name, path in MODULES.items() if not name.endswith("exercises")})
def test_what_is_public_has_a_docstring(path):
    assert undocumented(read(path)) == []


@each(BELOW)
def test_what_a_module_offers_has_an_example_that_runs(path):
    assert undocumented(read(path), examples=True) == []


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ('"""M."""\ndef f():\n    """F."""', []),
        ("def f():\n    '''F.'''", ["the module"]),
        ('"""M."""\ndef f(): ...', ["f"]),
        ('"""M."""\ndef _f(): ...', []),
        (
            '"""M."""\nclass C:\n    """C."""\n    def m(self):\n        x = 1\n        return x',
            ["C.m"],
        ),
        ('"""M."""\nclass C:\n    def _m(self): ...', ["C"]),
    ],
)
def test_a_missing_docstring_is_noticed(source, missing):
    assert undocumented(source) == missing


def test_a_missing_example_is_noticed():
    assert undocumented(
        '"""M."""\ndef f():\n    """F."""\ndef g():\n    """G.\n\n    >>> g()\n    """',
        examples=True,
    ) == ["f"]


# --- Modules --------------------------------------------------------------------------------------


@each({name: path for name, path in MODULES.items() if path.name != "exercises.py"})
def test_a_module_can_be_read_in_one_sitting(path):
    assert len(read(path).splitlines()) <= MOST_LINES


def imported(source, package=("course_utils",)):
    """Every module that a source imports, at whatever depth; relative names resolved against
    `package`.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*up, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def reaches(names, forbidden):
    return sorted(
        {bad for bad in forbidden for name in names if name == bad or name.startswith(f"{bad}.")}
    )


@each(BELOW)
def test_what_notebooks_build_on_imports_nothing_from_upstairs(path):
    assert reaches(imported(read(path)), UPSTAIRS) == []


def room_of(name):
    """The room that a dotted name of the package lies in; None where it lies in none."""
    parts = name.split(".")
    return (
        parts[1]
        if len(parts) > 1 and parts[0] == "course_utils" and (PACKAGE / parts[1]).is_dir()
        else None
    )


def arrows():
    """room -> the rooms that its modules import, found in every module, whatever its depth."""
    found = {}
    for name, path in MODULES.items():
        own, _, inner = name.partition("/")
        if inner:
            found.setdefault(own, set()).update(
                room_of(n)
                for n in imported(read(path), ("course_utils", own))
                if room_of(n) not in (None, own)
            )
    return found


def circle(graph):
    """Rooms that import one another in a ring, as a list; None where there is no ring."""

    def follow(room, way):
        if room in way:
            return [*way[way.index(room) :], room]
        return next(
            filter(None, (follow(after, [*way, room]) for after in sorted(graph.get(room, ())))),
            None,
        )

    return next(filter(None, (follow(room, []) for room in sorted(graph))), None)


def test_imports_between_rooms_run_in_no_circle():
    graph = arrows()
    assert len(graph) >= 20 and circle(graph) is None


def test_a_circle_is_noticed():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b"}, "b": {"c"}, "d": {"c"}}) is None


@each({room: PACKAGE / room / "__init__.py" for room in ROOMS})
def test_a_room_says_what_its_lesson_builds_and_which_lesson_it_is(path):
    tree = ast.parse(read(path))
    number = next(
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and n.targets[0].id == "LESSON"
    )
    assert len(ast.get_docstring(tree).split()) > 5 and f"{number}_{path.parent.name}" in [
        p.stem for p in notebook_paths()
    ]


@each({name: path for name, path in MODULES.items() if path.name != "__init__.py"})
def test_only_a_rooms_door_passes_names_on(path):
    """A module defines what it offers: nothing in it is imported only so that others find it
    there.
    """
    tree = ast.parse(read(path))
    assert not any(
        isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        for node in tree.body
    )


def test_nothing_else_stands_at_the_top():
    loose = {name for name in MODULES if "/" not in name}
    assert loose == {"__init__", "assets", "exercises", "intervals", "pretrained", "training"}


@each({name: path for name, path in MODULES.items() if name.startswith("classroom/")})
def test_the_classroom_knows_no_topic_and_no_exercise(path):
    taught = {f"course_utils.{room}" for room in (*ROOMS, "stories")} | {
        "course_utils.exercises",
        "course_utils.pretrained",
    }
    assert reaches(imported(read(path), ("course_utils", "classroom")), taught) == []


@pytest.mark.parametrize(
    "source",
    [
        "import course_utils.gpt2.model",
        "from course_utils import gpt2",
        "from course_utils.gpt2 import GPT",
        "from . import gpt2",
        "from .gpt2 import GPT",
        "def f():\n    from course_utils import gpt2 as g",
    ],
)
def test_an_import_is_noticed_however_it_is_written(source):
    assert reaches(imported(source), {"course_utils.gpt2"}) == ["course_utils.gpt2"]
    assert reaches(imported(source), {"course_utils.gpt"}) == []


def test_an_import_from_a_package_above_is_noticed():
    assert "course_utils.gpt2" in imported("from ..gpt2 import GPT", ("course_utils", "classroom"))


# --- Nothing unsafe -------------------------------------------------------------------------------


def unsafe(source):
    """Imports and calls that could run what a file or a user brings along."""
    found = reaches(imported(source), UNSAFE_MODULES)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS:
            found.append(ast.unparse(node.func))
        elif (
            isinstance(node, ast.keyword)
            and node.arg in UNSAFE_OPTIONS
            and ast.unparse(node.value) != "False"
        ):
            found.append(node.arg)
    return sorted(set(found))


@each(MODULES)
def test_nothing_that_comes_from_outside_is_executed(path):
    assert unsafe(read(path)) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["pickle"]),
        ("from pickle import loads", ["pickle"]),
        ("eval('1')", ["eval"]),
        ("import torch\ntorch.load('w.pt')", ["torch.load"]),
        ("np.load('w.npz')", []),
        ("np.load('w.npz', allow_pickle=True)", ["allow_pickle"]),
        ("from_pretrained('m', trust_remote_code=True)", ["trust_remote_code"]),
        ("model.eval()\nre.compile('x')", []),
    ],
)
def test_what_is_unsafe_is_noticed(source, found):
    assert unsafe(source) == found


# --- What is written down -------------------------------------------------------------------------


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_is_a_target_of_the_makefile(path):
    named = set(re.findall(r"(?:^|[`\s])make ([a-z][\w-]*)", "\n".join(code_in(read(path)))))
    targets = set(re.findall(r"^([a-z][\w-]*)\s*:(?!=)", read(ROOT / "Makefile"), flags=re.M))
    assert named - targets == set()
    if path.name == "README.md":
        assert {"lab", "test", "instructor", "slides", "grade"} <= named


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_from_a_document_to_a_file_leads_to_one(path):
    links = re.findall(r"\]\(([^)\s]+)\)", read(path))
    files = [link.partition("#")[0] for link in links if not re.match(r"\w+:", link)]
    assert [link for link in files if not (path.parent / link).exists()] == []


def test_the_readme_leads_to_every_document():
    assert [
        path.name for path in DOCUMENTS[1:] if f"docs/{path.name}" not in read(DOCUMENTS[0])
    ] == []


def code_in(markdown):
    """The code of a Markdown text: fenced blocks, then what stands between backticks."""
    blocks = re.findall(r"```.*?\n(.*?)```", markdown, flags=re.S)
    return blocks + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", markdown, flags=re.S))


def test_the_readme_leads_to_every_notebook():
    text = read(ROOT / "README.md")
    assert [path.name for path in notebook_paths() if f"notebooks/{path.name}" not in text] == []


MACHINE = re.compile(
    r"(?<![\w.:/])/(?:work|root|home|tmp|Users|private|var/folders)/\w|[A-Z]:\\\\?Users\\"
)


def machine_paths(nb):
    texts = []
    for output in (output for cell in nb.cells for output in cell.get("outputs", [])):
        texts += [output.get("text", ""), *output.get("traceback", [])]
        texts += [
            str(value)
            for kind, value in output.get("data", {}).items()
            if not kind.startswith("image/")
        ]
    return [
        found.group()
        for text in texts
        for found in MACHINE.finditer(re.sub(r"base64,[\w+/=]+", "", text))
    ]


def test_no_output_names_a_place_on_somebodys_machine(notebook):
    assert machine_paths(common.read(notebook)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/home/me/x.py", ["/home/m"]),
        ("File /tmp/y", ["/tmp/y"]),
        ("https://example.org/home/page", []),
        ("C:\\Users\\me", ["C:\\Users\\"]),
        ("at work/home", []),
    ],
)
def test_a_place_on_a_machine_is_noticed(text, found):
    cell = {
        "cell_type": "code",
        "outputs": [{"output_type": "stream", "name": "stdout", "text": text}],
    }
    assert machine_paths(common.NotebookNode(cells=[cell])) == found


@pytest.mark.parametrize("command", [["check", "--output-format=concise"], ["format", "--diff"]])
def test_ruff_finds_nothing(command):
    ruff = [sys.executable, "-m", "ruff", *command, "."]
    run = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def packed(tree):
    """Assignments of several things in one line, `a, b = x, y`, which could be one a line. Plain
    numbers may share a line, what changes places must, and a tuple may be unpacked beside another.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
            continue
        [target] = node.targets[:1]
        if not isinstance(target, ast.Tuple) or len(target.elts) != len(node.value.elts):
            continue
        values = node.value.elts
        numbers = all(isinstance(v, ast.Constant) and not isinstance(v.value, str) for v in values)
        changed = {ast.unparse(each) for each in target.elts[:-1]}
        read = {ast.unparse(part) for v in values[1:] for part in ast.walk(v)}
        plain = all(isinstance(each, ast.Name | ast.Attribute) for each in target.elts)
        if plain and not numbers and not changed & read:
            yield node.lineno


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a, b = f(), g()", [1]),
        ("self.a, b = x, y", [1]),
        ("a, b = b, a", []),
        ("B, T = 2, 3", []),
        ("a, b = pair", []),
        ("(a, b), c = pair, x", []),
    ],
)
def test_packed_assignments_are_seen(line, found):
    assert list(packed(ast.parse(line))) == found


def test_there_is_one_assignment_a_line():
    found = {
        str(path.relative_to(ROOT)): lines
        for folder in ("course_utils", "tools", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := list(packed(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {}
