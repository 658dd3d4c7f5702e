"""What a notebook must have, and must not have, beyond running: shape, prose, seeds, alt text,
exercises, nothing unfinished.

    python tools/lint.py [01 …]

Each rule is a function that takes the notebook and yields what is wrong; `lint` collects what all
of them say.
"""

import argparse
import ast
import re
import statistics
from collections.abc import Callable, Iterable, Iterator

import common
from cells import (
    BADGE,
    calls,
    checked,
    code_cells,
    compared_by_nbval,
    dotted,
    form_title,
    marked,
    tags,
    tree,
)
from clocks import Clocked
from common import pair_of, sources
from minutes import MOST, length_of, promised
from nbformat import NotebookNode
from reruns import bound, bound_anywhere, reruns

Found = Iterator[str]

MEDIAN, MANY, LONGEST = 6, 15, 30  # lines of code: half of the cells, nine of ten, all
WIDEST = 105  # columns of code that a page of the usual width and a projector show
# The first code cell of every notebook, word for word; ADDRESS is what tools/address.py writes.
SETUP = """\
from importlib.util import find_spec
if not find_spec("course_utils"):  # on Colab: install it, leave torch as it is
    %pip install -q "course-utils @ git+ADDRESS"
assert find_spec("course_utils") and __import__("course_utils").__version__.startswith("2."), "Edition 2 of the course is not installed. If pip failed, it says above why: most often there is no network, or Python is older than 3.11. If another edition is in the way, run %pip uninstall -y course-utils. Then restart the kernel and begin again."
"""
EXERCISES, VIEWS, PREDICTIONS = 4, 2, 3
LOOKS = {
    "show",
    "explore",
    "live",
    "claims.expect",
    "claims.measure",
    "claims.show",
    "claims.criteria",
    "predict",
    "reveal",
    "Diagram",
}
VISIBLE = 6, 12, 25  # lines of code that a student sees: half of the cells, nine of ten, all
COMPARED = 0.8  # of the cells with outputs
MIN_ALT = 20  # characters; below that it is a label
VIEW = "application/vnd.jupyter.widget-view+json"
CLAIMS = "application/vnd.course.claims+json"
PREDICTION = "application/vnd.course.prediction+json"
FILE_NAME = re.compile(r"\S*\.(png|jpe?g|gif|svg|webp)", re.I)
UNFINISHED = re.compile(
    r"\b(TODO|FIXME|XXX|TBD)\b|\blorem ipsum\b|\b(?:coming soon|to be written)\b"
)
VAGUE = {"here", "click here", "link", "this", "this link", "page"}
# a code cell that needs no prose of its own after the exercise's cell
FOLLOWS = {"check", "hint", "solution"}

# What draws random numbers without being given a source of them.
TORCH = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "bernoulli",
    "multinomial",
    "poisson",
    "rand_like",
    "randn_like",
    "randint_like",
}
IN_PLACE = {
    "normal_",
    "uniform_",
    "random_",
    "bernoulli_",
    "exponential_",
    "geometric_",
    "cauchy_",
    "log_normal_",
    "trunc_normal_",
}
SEEDS = {
    "torch.manual_seed",
    "torch.seed",
    "torch.random.manual_seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "numpy.random.seed",
    "random.seed",
}
SOURCES = {
    "numpy.random.default_rng",
    "numpy.random.Generator",
    "numpy.random.SeedSequence",
    "numpy.random.RandomState",
    "numpy.random.PCG64",
    "random.Random",
}
SHOW = "use show(fig, alt=…), which attaches alt text and closes the figure"
PYPLOT = "use subplots(…) of course_utils.classroom: pyplot closes its figures at the end of a cell, even while a slider draws"
BANNED = {
    "plt.subplots": PYPLOT, "plt.figure": PYPLOT, "pyplot.subplots": PYPLOT, "pyplot.figure": PYPLOT,
    "plt.show": SHOW, "pyplot.show": SHOW,
    "interact": "use explore(…): it leaves a static picture", "interactive": "use explore(…): it leaves a static picture",
    "interactive_output": "use explore(…): it leaves a static picture", "Output": "use explore(…): an Output widget shows nothing without a kernel",
    "clear_output": "nbval cannot compare it; use explore(…) or progress(…)",
}  # fmt: skip


def lint(nb: NotebookNode, rules: Iterable[Callable] = ()) -> list[str]:
    """Everything that is wrong with a lesson, in words; an empty list for a good one. rules: some
    of RULES and TEACHING, which are all kept unless you name some.
    """
    return [message for rule in rules or (*RULES, *TEACHING) for message in rule(nb)]


def title(nb: NotebookNode) -> Found:
    first = nb.cells[0] if nb.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "cell 1: the first cell is not a title (`# …` in Markdown)"
    elif not BADGE.search(first.source):
        yield (
            "cell 1: the Colab badge, with a link in words beside it, is missing; "
            "`python tools/address.py` writes its address"
        )


def opening(nb: NotebookNode) -> Found:
    """What a reader wants to know first stands before the first code cell."""
    start = next((n for n, cell in enumerate(nb.cells) if cell.cell_type == "code"), len(nb.cells))
    text = "\n".join(cell.source for cell in nb.cells[:start])
    wanted = {
        "how long it takes on CPU and on GPU": r"(?s)^(?=.*\bCPU\b)(?=.*\bGPU\b)(?=.*\b(minute|second|hour|min)s?\b)",
        "“what you will be able to do”": r"(?i)what you will be able to do",
        "the prerequisites": r"(?i)\bprerequisites?\b",
        "that on Colab a copy comes first": r"\*File → Save a copy in Drive\*",
    }
    yield from (
        f"the opening does not say {what}"
        for what, pattern in wanted.items()
        if not re.search(pattern, text)
    )


def setup(nb: NotebookNode) -> Found:
    cell = next(iter(code_cells(nb)), None)
    source = "" if cell is None else re.sub(r"\A# @title [^\n]+\n", "", cell.source).strip()
    if not re.fullmatch(re.escape(SETUP.strip()).replace("ADDRESS", r'[^\s"]+'), source):
        yield "the first code cell is not the set-up cell, word for word: SETUP in tools/lint.py"


def prose(nb: NotebookNode) -> Found:
    """Prose before each code cell; a display cell has its title, and may stand beside another."""
    for number, cell in _numbered(nb, "code"):
        before = nb.cells[number - 2] if number > 1 else None
        titled = before is not None and bool(form_title(before) or form_title(cell))
        if before is None or (
            before.cell_type == "code" and not titled and not tags(cell) & FOLLOWS
        ):
            yield f"cell {number}: no prose before this code cell"


def sizes(nb: NotebookNode) -> Found:
    counts = {
        number: code_lines(cell.source)
        for number, cell in _numbered(nb, "code")
        if not form_title(cell)
    }
    if not counts:
        return
    yield from (
        f"cell {number}: {count} lines of code; {LONGEST} at most"
        for number, count in counts.items()
        if count > LONGEST
    )
    for number, cell in _numbered(nb, "code"):
        if (
            "setup" not in tags(cell)
            and (width := max(map(len, cell.source.splitlines()), default=0)) > WIDEST
        ):
            yield f"cell {number}: a line of {width} columns; {WIDEST} at most"
    if (median := statistics.median(counts.values())) > MEDIAN:
        yield f"the median code cell has {median:g} lines; {MEDIAN} at most"
    long = [number for number, count in counts.items() if count > MANY]
    if len(long) > 0.1 * len(counts):
        yield f"{len(long)} of {len(counts)} code cells have over {MANY} lines (cells {', '.join(map(str, long))}); a tenth may"


def code_lines(source: str) -> int:
    """Lines that are code: blank lines, comments and docstrings do not count."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    documented = [
        node
        for node in ast.walk(tree(source))
        if isinstance(node, kinds) and ast.get_docstring(node) is not None
    ]
    docstrings = {
        n for node in documented for n in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and n not in docstrings
        for n, line in lines
    )


def randomness(nb: NotebookNode) -> Found:
    names = _imported(nb)
    for number, cell in _numbered(nb, "code"):
        forked = _forked(cell.source)
        for name, call in calls(cell.source):
            first, _, rest = name.partition(".")
            full = f"{names.get(first, first)}.{rest}" if rest else names.get(first, first)
            if full in SEEDS and call.lineno not in forked:
                yield f"cell {number}: {name}(…) seeds the whole session; give each experiment its own generator(seed)"
            elif _unseeded(full, call):
                yield f"cell {number}: {name}(…) draws from a hidden source; pass it a generator, or seed its own"


def _unseeded(full: str, call: ast.Call) -> bool:
    module, _, last = full.rpartition(".")
    given = {keyword.arg for keyword in call.keywords} & {"generator", None}
    if full in SOURCES:
        return not call.args and not call.keywords
    if (
        (module == "torch" and last in TORCH)
        or last in IN_PLACE
        or (module.startswith("torch.nn.init") and last.endswith("_"))
    ):
        return not given and not last.startswith(("zeros", "ones", "constant", "eye", "dirac"))
    return module in ("numpy.random", "random") and full not in SEEDS


def _imported(nb: NotebookNode) -> dict[str, str]:
    """What each imported name stands for: {"np": "numpy", "randn": "torch.randn"}."""
    names = {}
    for node in (node for cell in code_cells(nb) for node in ast.walk(tree(cell.source))):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    return names


def _forked(source: str) -> set[int]:
    """The lines under `with torch.random.fork_rng():`, where a seed stays inside."""
    blocks = [node for node in ast.walk(tree(source)) if isinstance(node, ast.With)]
    kept = [
        b
        for b in blocks
        if any(
            dotted(getattr(item.context_expr, "func", b)).endswith("fork_rng") for item in b.items
        )
    ]
    return {line for block in kept for line in range(block.lineno, block.end_lineno + 1)}


def alt_text(nb: NotebookNode) -> Found:
    for number, cell in _numbered(nb, "code"):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                meta = output.get("metadata", {})
                yield from _judged(
                    number, meta.get("image/png", {}).get("alt", meta.get("alt", ""))
                )
            for image in re.findall(r"<img\b[^>]*>", output.get("data", {}).get("text/html", "")):
                yield from _judged(number, _attribute(image, "alt"))
    for number, cell in _numbered(nb, "markdown"):
        text = _without_code(cell.source)
        images = [alt for alt in re.findall(r"!\[([^\]]*)\]\(", BADGE.sub("", text))]
        images += [_attribute(image, "alt") for image in re.findall(r"<img\b[^>]*>", text)]
        for alt in images:
            yield from _judged(number, alt)


def _judged(number: int, alt: str) -> Found:
    if FILE_NAME.fullmatch(alt.strip()):
        yield f"cell {number}: the alt text of a picture is a file name, {alt!r}; say what the picture shows"
    elif len(alt.strip()) < MIN_ALT:
        yield f"cell {number}: a picture has no alt text of at least {MIN_ALT} characters; say what it shows"


def _attribute(tag: str, name: str) -> str:
    match = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
    return (match[1] or match[2] or "") if match else ""


def exercises(nb: NotebookNode) -> Found:
    names = checked(nb)
    if len(names) < EXERCISES:
        yield f"{len(names)} exercises (check(…)); at least {EXERCISES}"
    for number, cell in _numbered(nb, "code"):
        box = nb.cells[number - 2].source if number > 1 else ""
        if "exercise" in tags(cell) and not re.search(r"(?is)difficulty.*\d.*\d+ minutes?\b", box):
            yield f"cell {number}: the prose before this exercise does not say its difficulty and minutes"
    text = "\n".join(cell.source for cell in code_cells(nb))
    yield from (
        f"exercise {name} offers no hint(…)" for name in names if f'hint("{name}")' not in text
    )
    yield from (
        f"exercise {name} offers no solution(…)"
        for name in names
        if f'solution("{name}")' not in text
    )


def builds(nb: NotebookNode) -> Found:
    """What you build is what runs: each check gives the function with which the lesson goes on."""
    own = {}
    for number, cell in _numbered(nb, "code"):
        parsed = tree(cell.source)
        for node in ast.walk(parsed):
            if isinstance(node, ast.Attribute) and dotted(node) in own:
                yield f"cell {number}: {dotted(node)} is the course's own; call {own[dotted(node)]}, which the check gave"
        kept = {
            node.value.lineno: node.targets[0].id
            for node in parsed.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for asked, line in _checks(cell.source):
            short = asked.rpartition(".")[2]
            if kept.get(line) != short:
                yield f'cell {number}: write {short} = check("{asked}", {short}): the lesson goes on with what it gives'
            own[asked] = short
    names = {name for cell in code_cells(nb) for name, _ in calls(cell.source)}
    if own and "exercises.progress" not in names:
        yield "nothing says at the end which exercises pass: exercises.progress(…)"


def _checks(source: str) -> Iterator[tuple[str, int]]:
    """(exercise, line) of every check in a cell."""
    for name, call in calls(source):
        if name == "check" and call.args and isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value), call.lineno


def views(nb: NotebookNode) -> Found:
    count = sum(
        name in ("explore", "live") for cell in code_cells(nb) for name, _ in calls(cell.source)
    )
    if count < VIEWS:
        yield f"{count} interactive views (explore(…), live(…)); at least {VIEWS}"
    for number, cell in _numbered(nb, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            if VIEW in data and not data.keys() & {"image/png", "text/html"}:
                yield f"cell {number}: the view leaves no static picture (image/png or text/html) for readers without a kernel"


def compared(nb: NotebookNode) -> Found:
    shown = [cell for cell in code_cells(nb) if cell.outputs]
    kept = [cell for cell in shown if compared_by_nbval(cell)]
    if shown and len(kept) / len(shown) < COMPARED:
        yield f"nbval compares {len(kept)} of {len(shown)} cells with outputs; at least {COMPARED:.0%}"
    yield from (
        f"cell {number}: it is skipped by nbval"
        for number, cell in _numbered(nb, "code")
        if marked(cell, "skip")
    )


def errors(nb: NotebookNode) -> Found:
    for number, cell in _numbered(nb, "code"):
        after = nb.cells[number] if number < len(nb.cells) else None
        if tags(cell) & {"raises-exception", "nbval-raises-exception"} and (
            after is None or after.cell_type != "markdown"
        ):
            yield f"cell {number}: it raises an exception, and no prose after it says why"


def unfinished(nb: NotebookNode) -> Found:
    for number, cell in enumerate(nb.cells, 1):
        for match in UNFINISHED.finditer(cell.source):
            yield f"cell {number}: unfinished text, {match[0]!r}"


def ending(nb: NotebookNode) -> Found:
    if not any(name == "claims.show" for cell in code_cells(nb) for name, _ in calls(cell.source)):
        yield "the claims table is missing: claims.show()"
    elif not any(
        CLAIMS in output.get("data", {}) for cell in code_cells(nb) for output in cell.outputs
    ):
        yield "claims.show() left no table in the outputs"
    last = next((text for _, level, text in reversed(list(_headings(nb))) if level == 2), "")
    if not re.search(r"(?i)further reading", last):
        yield "the last section is not “Further reading”"
    elif not re.search(r"\]\(https?://", nb.cells[-1].source):
        yield "“Further reading” names no source with a link"


def headings(nb: NotebookNode) -> Found:
    above = 0
    for number, level, text in _headings(nb):
        if level > above + 1:
            yield f"cell {number}: the heading {text!r} is of level {level} under one of level {above}; go down one level at a time"
        if level == 1 and number != 1:
            yield f"cell {number}: a second title, {text!r}; sections begin with `##`"
        above = level


def links(nb: NotebookNode) -> Found:
    for number, cell in _numbered(nb, "markdown"):
        for text, address in re.findall(
            r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)]*)\)",
            _without_code(BADGE.sub("", cell.source)),
        ):
            if not text.strip() or text.strip().lower() in VAGUE:
                yield f"cell {number}: the link to {address} has the text {text!r}; say where it leads"
            if not address.strip():
                yield f"cell {number}: the link {text!r} leads nowhere"


def banned(nb: NotebookNode) -> Found:
    for number, cell in _numbered(nb, "code"):
        for name, _ in calls(cell.source):
            for what, instead in BANNED.items():
                if name == what or name.endswith(f".{what}"):
                    yield f"cell {number}: {name}(…): {instead}"
        for magic in re.findall(
            r"^\s*(%%?(?:time|timeit|capture|matplotlib))\b", cell.source, re.M
        ):
            yield f"cell {number}: {magic} prints what differs from run to run, or hides it; use timed(…) or show(…)"


def clock(nb: NotebookNode) -> Found:
    """Nothing that is asserted, claimed or compared depends on how fast the machine is."""
    names = Clocked()
    for number, cell in _numbered(nb, "code"):
        for line, what in names.visit(tree(cell.source).body, compared_by_nbval(cell)):
            yield f"cell {number}, line {line}: {what}; count operations, bytes or calls instead"


def repeated(nb: NotebookNode) -> Found:
    """A cell that runs twice, or again after an interrupt, gives the same."""
    for number, cell in _numbered(nb, "code"):
        for line, what in reruns(tree(cell.source)):
            yield f"cell {number}, line {line}: it {what}"


# --- What a student sees, and what is sound --------------------------------------------------------


def _shows_its_view(parsed: ast.Module) -> bool:
    """Whether the cell's explore(…) is displayed: as its last line, or by display(…)."""
    shown = [
        node.value
        for node in parsed.body
        if isinstance(node, ast.Expr)
        and (node is parsed.body[-1] or ast.unparse(node).startswith("display("))
    ]
    return any("explore" in {name for name, _ in calls(ast.unparse(node))} for node in shown)


def displays(nb: NotebookNode) -> Found:
    """What only draws, tabulates, asks or records is folded; what teaches is not."""
    made = {}  # name -> number of the display cell that binds it
    for number, cell in _numbered(nb, "code"):
        parsed = tree(cell.source)
        used = {name for name, _ in calls(cell.source)}
        folded = "display" in tags(cell)
        if folded and not form_title(cell):
            yield f"cell {number}: a display cell begins with `# @title …`, which says what is shown"
        if used & LOOKS and not folded:
            yield f"cell {number}: {', '.join(sorted(used & LOOKS))} belongs in a display cell"
        if folded and not used & LOOKS and not cell.outputs:
            yield f"cell {number}: this display cell shows nothing; what teaches is not folded away"
        if "explore" in used and not _shows_its_view(parsed):
            yield f"cell {number}: its view is not shown; explore(…) is the last line of its cell"
        own = bound_anywhere(parsed)
        taken = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name)} - own
        for name in sorted(taken & made.keys()) if not folded else ():
            yield f"cell {number}: {name} comes from the display cell {made[name]}; a student does not see it there"
        for name in {name for node in parsed.body for name in bound(node)}:
            if folded:
                made.setdefault(name, number)
            else:
                made.pop(name, None)


def predictions(nb: NotebookNode) -> Found:
    """At least three questions, each revealed."""
    named = {
        what: [
            call.args[0].value for c in code_cells(nb) for n, call in calls(c.source) if n == what
        ]
        for what in ("predict", "reveal")
    }
    if len(named["predict"]) < PREDICTIONS:
        yield f"{len(named['predict'])} predictions (predict(…)); at least {PREDICTIONS}"
    for name in sorted(set(named["predict"]) ^ set(named["reveal"])):
        yield f"the prediction {name} is asked or revealed, and not both"
    for number, cell in _numbered(nb, "code"):
        shown = [
            output.data[PREDICTION]
            for output in cell.outputs
            if PREDICTION in output.get("data", {})
        ]
        revealed = {call.args[0].value for name, call in calls(cell.source) if name == "reveal"}
        for name in sorted(revealed - {found["name"] for found in shown} if cell.outputs else ()):
            yield f"cell {number}: reveal({name!r}, …) is shown nowhere; make it the last line, or display(reveal(…))"
        for found in shown:
            if not found["measured"]:
                yield f"cell {number}: what was measured for {found['name']} is none of its options"


def length(nb: NotebookNode) -> Found:
    """At most as long as a lesson may be, and the minutes that the opening promises are computed."""
    found = length_of(nb)
    for what, most in MOST.items():
        if getattr(found, what) > most:
            yield f"{getattr(found, what)} {what}; {most} at most"
    if promised(nb) is None:
        yield "the opening does not say `About N minutes to read and do`"
    elif abs(promised(nb) - found.minutes) > 2.5:
        yield f"the opening promises {promised(nb)} minutes, and {found.minutes} come out"
    lines = sorted(
        code_lines(cell.source)
        for cell in code_cells(nb)
        if not form_title(cell) and not tags(cell) & {"setup", "imports"}
    )
    half, ninth, whole = VISIBLE
    if lines and (
        statistics.median(lines) > half
        or lines[int(0.9 * (len(lines) - 1))] > ninth
        or lines[-1] > whole
    ):
        yield f"visible code cells have a median of {statistics.median(lines):g}, nine of ten up to {lines[int(0.9 * (len(lines) - 1))]}, the longest {lines[-1]} lines; {VISIBLE} at most"


def soundness(nb: NotebookNode) -> Found:
    """Numbers and not booleans in what a student reads; criteria before measurements."""
    expected = set()
    for number, cell in _numbered(nb, "code"):
        for output in cell.outputs:
            if re.search(r"(?<![\w.'\"])(True|False)(?![\w'\"])", output.get("text", "")):
                yield f"cell {number}: it prints True or False; print the number behind it"
        for name, call in calls(cell.source):
            first = (
                call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
            )
            if name == "claims.expect":
                expected.add(first)
            elif name == "claims.add":
                yield f"cell {number}: claims.add(…) sets criterion and measurement at once; use claims.expect(…), then claims.measure(…)"
            elif name == "claims.measure" and first not in expected:
                yield f"cell {number}: claim {first} is measured before its criterion is set"


def comparisons(nb: NotebookNode) -> Found:
    """A comparison in prose after a figure is asserted by the cell that draws it."""
    for before, (number, cell) in zip(nb.cells, list(enumerate(nb.cells, 1))[1:], strict=False):
        if cell.cell_type != "markdown" or before.cell_type != "code":
            continue
        draws = any(name in ("show", "reveal") for name, _ in calls(before.source))
        asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree(before.source)))
        if draws and not asserts and (found := COMPARES.search(cell.source)):
            yield f"cell {number}: {found[0]!r} compares, and the cell of the figure asserts nothing"


COMPARES = re.compile(
    r"\b(?:more|less|fewer|most|least|never|always|grows|falls|larger|smaller|better|worse|as many)\b"
)
TEACHING: list[Callable[[NotebookNode], Found]] = [
    displays, predictions, length, soundness, comparisons,
]  # fmt: skip
RULES: list[Callable[[NotebookNode], Found]] = [
    title, opening, setup, prose, sizes, randomness, alt_text, exercises, builds, views, compared, errors, unfinished, ending, headings, links, banned,
    clock, repeated,
]  # fmt: skip


def _numbered(nb: NotebookNode, kind: str) -> list[tuple[int, NotebookNode]]:
    return [(number, cell) for number, cell in enumerate(nb.cells, 1) if cell.cell_type == kind]


def _headings(nb: NotebookNode) -> Iterator[tuple[int, int, str]]:
    """(cell number, level, text) of every heading, in order."""
    for number, cell in _numbered(nb, "markdown"):
        for marks, text in re.findall(r"^(#{1,6}) (.*)$", _without_code(cell.source), re.M):
            yield number, len(marks), text


def _without_code(source: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", source, flags=re.S))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "notebooks", nargs="*", metavar="NB", help="e.g. 01; all of them if none is given"
    )
    pairs = [pair_of(source) for source in sources(parser.parse_args().notebooks)]
    found = [f"{pair.name}: {message}" for pair in pairs for message in lint(common.read(pair))]
    print("\n".join(found) or f"nothing to say about {', '.join(pair.stem for pair in pairs)}")
    return bool(found)


if __name__ == "__main__":
    common.command(main)
