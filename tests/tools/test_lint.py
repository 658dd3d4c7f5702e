"""The lint of notebooks: a good one passes, each rule notices its fault, and every notebook of the
course passes.
"""

import ast

import common
import pytest
from clocks import Clocked
from lint import CLAIMS, RULES, SETUP, VIEW, code_lines, lint
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

COLAB = "https://colab.research.google.com/github/a/b/blob/main/notebooks/00_x.ipynb"
BESIDE = f" · [open this lesson in Colab]({COLAB})"
BADGE = f"[![Open in Colab](https://colab.example/badge.svg)]({COLAB}){BESIDE}"
OPENING = f"""# A title

{BADGE}

Time: a minute on CPU, nothing on GPU.

**What you will be able to do**: count.

**Prerequisites**: none.

On Colab, first: *File → Save a copy in Drive*.
"""
ADDRESS = "https://github.com/a/b@main"
ALT = "A straight line that rises from left to right."


def picture(alt=ALT, **data):
    return new_output(
        "display_data",
        data={"image/png": "AAAA", "text/plain": alt, **data},
        metadata={"image/png": {"alt": alt}},
    )


def view():
    return picture(**{VIEW: {"model_id": "0"}})


def said(text):
    return new_output("stream", name="stdout", text=text)


def good():
    """The smallest notebook that has everything. Cells by number: `number_of` finds one by a piece
    of its source.
    """
    cells = [
        new_markdown_cell(OPENING), new_code_cell(SETUP.replace("ADDRESS", ADDRESS), metadata={"tags": ["setup"]}),
        new_markdown_cell("## Draw\n\nSee [the paper on lines](https://example.org)."), new_code_cell("print(torch.rand(3, generator=generator(0)))", outputs=[said("0")]),
        new_markdown_cell("A picture."), new_code_cell("show(fig, alt=text)", outputs=[picture()]),
    ]  # fmt: skip
    for n in range(2):
        cells += [
            new_markdown_cell("### Look\n\nMove it."),
            new_code_cell(f"explore(draw, n={n})", outputs=[view()]),
        ]
    for name in "abcd":
        cells += [
            new_markdown_cell(f"### Exercise {name}\n\n*Difficulty 1 of 3 · 5 minutes*"),
            new_code_cell(f"def {name}():\n    ...", metadata={"tags": ["exercise"]}),
        ]
        cells.append(
            new_code_cell(
                f'{name} = check("x.{name}", {name})',
                outputs=[said("ok")],
                metadata={"tags": ["check"]},
            )
        )
        cells.append(
            new_code_cell(
                f'# hint("x.{name}")\n# solution("x.{name}")', metadata={"tags": ["hint"]}
            )
        )
    cells += [
        new_markdown_cell("## What we verified"),
        new_code_cell("claims.show()", outputs=[new_output("display_data", data={CLAIMS: []})]),
        new_markdown_cell("Your exercises."),
        new_code_cell('exercises.progress("x")'),
    ]
    cells += [
        new_markdown_cell(
            "## Further reading\n\n- [A paper with a name](https://example.org/paper)"
        )
    ]
    return new_notebook(cells=cells)


def number_of(nb, text):
    return next(n for n, cell in enumerate(nb.cells) if text in cell.source)


def test_a_good_notebook_passes():
    assert lint(good(), RULES) == []


def replaced(old, new):
    """The notebook with a text replaced in every cell."""

    def change(nb):
        assert any(old in cell.source for cell in nb.cells)
        for cell in nb.cells:
            cell.source = cell.source.replace(old, new)

    return change


def added(source, outputs=(), tags=(), prose="Some prose."):
    """The notebook with a code cell more, after its prose."""

    def change(nb):
        cell = new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})
        nb.cells[6:6] = [new_markdown_cell(prose), cell] if prose else [cell]

    return change


def written(text):
    """The notebook with a cell of prose more."""
    return lambda nb: nb.cells.insert(4, new_markdown_cell(text))


def removed(text):
    return lambda nb: nb.cells.pop(number_of(nb, text))


def tagged(text, *tags):
    """The cells that hold a text get tags."""

    def change(nb):
        for cell in nb.cells:
            if text in cell.source:
                cell.metadata["tags"] = [*cell.metadata.get("tags", []), *tags]

    return change


def shown(text, *outputs):
    """The cell that holds a text gets these outputs."""
    return lambda nb: nb.cells[number_of(nb, text)].update(outputs=list(outputs))


def lines(count):
    return "\n".join(f"x{n} = {n}" for n in range(count))


def many(count, each):
    def change(nb):
        for _ in range(count):
            added(lines(each))(nb)

    return change


FAULTS = [
    (replaced("# A title", "A title"), "cell 1: the first cell is not a title"),
    (lambda nb: nb.cells.insert(0, new_code_cell("1")), "cell 1: the first cell is not a title"),
    (replaced(BADGE, ""), "cell 1: the Colab badge, with a link in words beside it, is missing"),
    (replaced(BESIDE, ""), "cell 1: the Colab badge, with a link in words beside it, is missing"),
    (replaced("on CPU", ""), "how long it takes on CPU and on GPU"),
    (replaced("nothing on GPU", ""), "how long it takes on CPU and on GPU"),
    (replaced("a minute", "Runs"), "how long it takes on CPU and on GPU"),
    (replaced("What you will be able to do", "Aim"), "what you will be able to do"),
    (replaced("Prerequisites", "Needs"), "prerequisites"),
    (removed("%pip"), "not the set-up cell"),
    (replaced("%pip install -q", "print"), "not the set-up cell"),
    (
        replaced("from importlib.util", "import sys\nfrom importlib.util"),
        "not the set-up cell, word for word",
    ),
    (replaced('.startswith("2.")', '.startswith("3.")'), "not the set-up cell, word for word"),
    (replaced(ADDRESS, ADDRESS + '" "torch'), "not the set-up cell, word for word"),
    (replaced("Save a copy in Drive", "Save"), "does not say that on Colab a copy comes first"),
    (removed("A picture."), "no prose before this code cell"),
    (added("1 + 1", prose=""), "no prose before this code cell"),
    (added(lines(31)), "31 lines of code; 30 at most"),
    (many(20, 7), "the median code cell has 7 lines"),
    (many(3, 16), "3 of 22 code cells have over 15 lines"),
    (
        added(
            "begun = time.perf_counter()\nwork()\ntook = time.perf_counter() - begun\nassert took < 5"
        ),
        "line 4: an assertion on what a clock said",
    ),
    (
        added("ratio = timed(f) / timed(g)\nprint('twice as fast:', ratio > 2)"),
        "line 2: an output that nbval compares holds what a clock said",
    ),
    (
        added(
            "def race():\n    return timed(f)\n\n\nbest = {n: race() for n in (1, 2)}\nassert best[1] < best[2]"
        ),
        "line 6: an assertion on what a clock said",
    ),
    (
        added(
            "took = []\nfor n in (1, 2):\n    took.append(timed(f))\na, b = took\nclaims.add('X1', 'faster', measured=a / b)"
        ),
        "line 5: a claim on",
    ),
    (
        added(
            "speed = history.tokens[-1] / history.seconds[-1]\nif speed < 200:\n    raise ValueError('slow')"
        ),
        "line 2: an error that depends on",
    ),
    (
        added("show(fig, f'It takes {timed(f):.1f} s, more than before.')"),
        "line 1: an output that nbval compares holds",
    ),
    (
        added("print(theirs)\ndel theirs"),
        "line 2: it deletes theirs, which the second run still needs",
    ),
    (
        added("for _ in range(2):\n    total += 1"),
        "line 2: it changes total, which another cell made",
    ),
    (added("weight.data = weight.data.T"), "line 1: it changes weight, which another cell made"),
    (added("history.losses.append(1)"), "line 1: it changes history, which another cell made"),
    (
        added("with torch.no_grad():\n    model.weight.mul_(2)"),
        "line 2: it changes model, which another cell made",
    ),
    (added("loss.backward()"), "line 1: it goes backward through loss, which another cell made"),
    (
        added("handle = model.h[0].register_forward_hook(keep)\nrun()\nhandle.remove()"),
        "line 1: it puts a hook on a model that stays there",
    ),
    (
        added(
            "def out(part):\n    hook = part.register_forward_pre_hook(keep)\n    run()\n    hook.remove()"
        ),
        "line 2: it puts a hook",
    ),
    (added("x = torch.randn(3, generator=g)"), "line 1: it draws from g, which another cell made"),
    (added("torch.manual_seed(0)"), "torch.manual_seed(…) seeds the whole session"),
    (added("import numpy as np\nnp.random.seed(0)"), "np.random.seed(…) seeds the whole session"),
    (added("import random\nrandom.seed(0)"), "random.seed(…) seeds the whole session"),
    (added("from torch import manual_seed as s\ns(0)"), "s(…) seeds the whole session"),
    (added("with torch.no_grad():\n    torch.manual_seed(0)"), "seeds the whole session"),
    (added("x = torch.randn(3)"), "torch.randn(…) draws from a hidden source"),
    (added("x = torch.randperm(3)"), "torch.randperm(…) draws from a hidden source"),
    (added("from torch import randn\nx = randn(3)"), "randn(…) draws from a hidden source"),
    (added("x = torch.empty(3).normal_()"), ".normal_(…) draws from a hidden source"),
    (
        added("from torch import nn\nnn.init.xavier_uniform_(w)"),
        "nn.init.xavier_uniform_(…) draws from a hidden source",
    ),
    (
        added("import numpy as np\nx = np.random.rand(3)"),
        "np.random.rand(…) draws from a hidden source",
    ),
    (
        added("import numpy as np\nr = np.random.default_rng()"),
        "np.random.default_rng(…) draws from a hidden source",
    ),
    (added("import random\nx = random.choice(y)"), "random.choice(…) draws from a hidden source"),
    (added("import random\nr = random.Random()"), "random.Random(…) draws from a hidden source"),
    (added("from random import shuffle\nshuffle(y)"), "shuffle(…) draws from a hidden source"),
    (shown("show(fig", picture("")), "no alt text of at least 20 characters"),
    (shown("show(fig", picture("A line.")), "no alt text of at least 20 characters"),
    (
        shown("show(fig", picture("a_long_name_of_a_file_1.png")),
        "the alt text of a picture is a file name",
    ),
    (
        shown("show(fig", new_output("display_data", data={"text/html": "<img src='x'>"})),
        "no alt text of at least 20 characters",
    ),
    (
        shown(
            "show(fig", new_output("display_data", data={"text/html": "<img src='x' alt='x.png'>"})
        ),
        "is a file name",
    ),
    (written("![](x.png)"), "no alt text of at least 20 characters"),
    (written("![figure_of_the_tokens.png](x.png)"), "is a file name"),
    (written('<img src="x.png">'), "no alt text of at least 20 characters"),
    (removed('check("x.d"'), "3 exercises"),
    (
        replaced("show(fig, alt=text)", "show(fig, alt=text)  # " + "x" * 100),
        "columns; 105 at most",
    ),
    (
        replaced(
            "print(torch.rand(3, generator=generator(0)))", "fig, ax = plt.subplots()\nprint(0)"
        ),
        "pyplot closes its figures",
    ),
    (replaced('check("x.d"', 'check("x.c"'), "3 exercises"),
    (replaced('a = check("x.a"', 'check("x.a"'), 'write a = check("x.a", a)'),
    (replaced('a = check("x.a"', 'b = check("x.a"'), 'write a = check("x.a", a)'),
    (replaced("claims.show()", "x.a(1)\nclaims.show()"), "x.a is the course's own; call a"),
    (removed("exercises.progress"), "nothing says at the end which exercises pass"),
    (replaced('# hint("x.a")', ""), "exercise x.a offers no hint"),
    (replaced('# solution("x.a")', ""), "exercise x.a offers no solution"),
    (
        replaced("*Difficulty 1 of 3 · 5 minutes*", "*5 minutes*"),
        "does not say its difficulty and minutes",
    ),
    (replaced("· 5 minutes", ""), "does not say its difficulty and minutes"),
    (replaced("explore(draw, n=1)", "draw(n=1)"), "1 interactive views"),
    (
        shown("explore(draw, n=1)", new_output("display_data", data={VIEW: {}, "text/plain": "x"})),
        "no static picture",
    ),
    (tagged("explore", "nbval-ignore-output"), "nbval compares 7 of 9 cells with outputs"),
    (
        lambda nb: [
            replaced(f"explore(draw, n={n})", f"# NBVAL_IGNORE_OUTPUT\nexplore(draw, n={n})")(nb)
            for n in range(2)
        ],
        "nbval compares 7 of 9",
    ),
    (tagged("show(fig", "nbval-skip"), "it is skipped by nbval"),
    (replaced("show(fig", "# NBVAL_SKIP\nshow(fig"), "it is skipped by nbval"),
    (
        lambda nb: [
            tagged("x.a", "raises-exception")(nb),
            nb.cells.pop(number_of(nb, "### Exercise b")),
        ],
        "it raises an exception, and no prose",
    ),
    (written("TODO: more"), "unfinished text, 'TODO'"),
    (added("x = 1  # FIXME"), "unfinished text, 'FIXME'"),
    (written("XXX"), "unfinished text, 'XXX'"),
    (written("The answer is TBD."), "unfinished text, 'TBD'"),
    (written("lorem ipsum dolor"), "unfinished text, 'lorem ipsum'"),
    (written("More is coming soon."), "unfinished text, 'coming soon'"),
    (replaced("claims.show()", "claims"), "the claims table is missing"),
    (shown("claims.show()"), "left no table in the outputs"),
    (replaced("## Further reading", "## Papers"), "the last section is not “Further reading”"),
    (
        lambda nb: nb.cells.append(new_markdown_cell("## Bye")),
        "the last section is not “Further reading”",
    ),
    (replaced("](https://example.org/paper)", "]"), "names no source with a link"),
    (replaced("### Look", "#### Look"), "is of level 4 under one of level 2"),
    (replaced("## Draw", "# Draw"), "a second title, 'Draw'"),
    (replaced("the paper on lines", ""), "the link to https://example.org has the text ''"),
    (replaced("the paper on lines", "here"), "the link to https://example.org has the text 'here'"),
    (written("[A thing](  )"), "the link 'A thing' leads nowhere"),
    (added("plt.show()"), "plt.show(…): use show(fig"),
    (added("matplotlib.pyplot.show()"), "pyplot.show(…): use show(fig"),
    (added("interact(f, x=1)"), "interact(…): use explore(…)"),
    (added("widgets.Output()"), "widgets.Output(…): use explore(…)"),
    (added("widgets.interactive_output(f, {})"), "interactive_output(…): use explore(…)"),
    (added("clear_output(wait=True)"), "clear_output(…): nbval cannot compare it"),
    (added("%%time\nx = 1"), "%%time prints what differs"),
]


SAFE_HOOKS = (
    "with part.register_forward_hook(keep), torch.no_grad():\n    run()",
    "with contextlib.ExitStack() as stack:\n    stack.enter_context(part.register_forward_hook(keep))\n    run()",
    "hook = part.register_forward_hook(keep)\ntry:\n    run()\nfinally:\n    hook.remove()",
)


@pytest.mark.parametrize("source", SAFE_HOOKS)
def test_a_hook_that_is_taken_off_whatever_happens_is_none(source):
    nb = good()
    added(source)(nb)
    assert not [line for line in lint(nb, RULES) if "hook" in line], lint(nb, RULES)


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_a_fault_is_noticed(change, message):
    nb = good()
    change(nb)
    assert [line for line in lint(nb, RULES) if message in line], lint(nb, RULES)


def test_every_rule_has_a_notebook_that_breaks_it():
    broken = set()
    for change, _ in FAULTS:
        nb = good()
        change(nb)
        broken |= {rule.__name__ for rule in RULES if list(rule(nb))}
    assert broken == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize(
    "change",
    [
        added("g = torch.Generator().manual_seed(0)\nx = torch.randn(3, generator=g)"),
        added("with torch.random.fork_rng():\n    torch.manual_seed(0)\n    model = build()"),
        added("import numpy as np\nr = np.random.default_rng(0)\nx = r.normal(size=3)"),
        added("import random\nr = random.Random(0)\nx = r.choice(y)"),
        added(
            "from torch import nn\nnn.init.zeros_(w)\nnn.init.normal_(w, generator=generator(0))"
        ),
        added("1 / 0", tags=["raises-exception"]),  # prose follows
        tagged("n=1", "nbval-ignore-output"),
        added("took = timed(f)\nprint(f'{took:.1f} s here')", tags=["nbval-ignore-output"]),
        added("took = timed(f)\ntook = 1\nassert took == 1"),
        added(
            "total, names = 0, []\nfor n in (1, 2):\n    total += n\n    names.append(n)\ndel total, names"
        ),
        added("loss = model(x)\nloss.backward()\nx = [x for x in (1, 2)]"),
        written("```\n# no heading ![](x.png) [](y)\n```\nA `[](code)`."),
        written("## A section\n\n### Deeper\n\n## And back"),
        written(f"![{ALT}](x.png)"),
    ],
    ids=[
        "generator",
        "forked",
        "numpy generator",
        "random.Random",
        "init",
        "explained error",
        "few ignored",
        "time shown",
        "time forgotten",
        "changed where made",
        "backward where made",
        "code fence",
        "headings",
        "image",
    ],
)
def test_what_is_allowed_passes(change):
    nb = good()
    change(nb)
    assert lint(nb, RULES) == []


def test_lines_of_code_leave_out_blanks_comments_and_docstrings():
    assert (
        code_lines('def f(x):\n    """One.\n\n    Two.\n    """\n\n    # why\n    return x\n') == 2
    )
    assert code_lines("%pip install x\n\nif x:\n    !ls\n") == 3
    assert code_lines("this is no python\n") == 1


@pytest.mark.parametrize(
    "path", sorted((common.ROOT / "tests").glob("*.py")), ids=lambda path: path.stem
)
def test_no_test_depends_on_the_clock(path):
    """But for a backstop, `… < patience(60)`. Histories' `seconds` are looked at as a field here,
    not as a speed.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(Clocked(fields=()).visit(tree.body, compared=False)) == []


def test_every_notebook_of_the_course_passes(notebook):
    assert lint(common.read(notebook)) == []
