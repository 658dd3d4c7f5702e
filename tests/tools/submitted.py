"""A class of students: notebooks that came back, made from solutions and wrong answers, then
shuffled and damaged; and what grading must say of each.
"""

import ast
import random
import textwrap

import common
import instructor
from answers import wrong_answers
from cells import checked, code_cells, tags
from common import pair_of
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from course_utils.exercises import catalog

SOLVED = "passes"
WRONG = "fails"
STUB = "open"
GONE = "missing"


def returned(source, number):
    """(notebook, {exercise: verdict}) of student `number` in the lesson with this source."""
    dice = random.Random(f"{source.stem} {number}")
    nb = instructor.fill(common.read(pair_of(source)), catalog.find)
    stubs = common.read(pair_of(source))
    wanted = {}
    for name in checked(nb):
        wanted[name] = dice.choice([SOLVED, SOLVED, WRONG, WRONG, STUB, GONE])
    for cell, stub in zip(nb.cells, stubs.cells, strict=True):
        if cell.cell_type != "code" or "exercise" not in tags(cell):
            continue
        here = {n.name for n in ast.parse(cell.source).body if hasattr(n, "name")}
        names = [name for name in wanted if name.partition(".")[2] in here]
        verdict = wanted[names[0]]
        for name in names[1:]:
            wanted[name] = verdict
        if verdict == STUB:
            cell.source = stub.source
        elif verdict == GONE:
            cell.source = "# nothing"
        elif verdict == WRONG:
            others = {name.partition(".")[2] for name in wanted}
            cell.source = "\n\n\n".join(wrong_source(name, dice, others) for name in names)
    damage(nb, dice)
    return nb, wanted


def wrong_source(name, dice, others):
    """A cell that answers the exercise wrongly, with what its function needs; of the `others`, which
    are exercises too, it defines none.
    """
    room, _, short = name.partition(".")
    text = (common.ROOT / "tests" / room / "wrong_answers.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    written = {getattr(node, "name", None) for node in tree.body}
    answer = dice.choice([a for a in wrong_answers(room)[short] if a.__name__ in written])
    parts = []
    for node in tree.body:
        own = getattr(node, "name", None)
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [a for a in node.names if (a.asname or a.name) not in others]
        if own in others or not getattr(node, "names", [own]):
            continue
        if isinstance(node, ast.ImportFrom) and node.module in ("answers",):
            continue
        if own == answer.__name__ or isinstance(node, ast.Import | ast.ImportFrom):
            parts.append(ast.unparse(_plain(node)))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.decorator_list:
            parts.append(ast.unparse(node))
        elif isinstance(node, ast.Assign) and "WrongAnswers" not in ast.unparse(node):
            parts.append(ast.unparse(node))
    return textwrap.dedent("\n".join([*parts, f"{short} = {answer.__name__}"]))


def _plain(node):
    if hasattr(node, "decorator_list"):
        node.decorator_list = [d for d in node.decorator_list if "wrong(" not in ast.unparse(d)]
    return node


def damage(nb, dice):
    """What happens to notebooks: cells are lost, moved, added, broken; outputs and tags vanish."""
    answers = [cell for cell in nb.cells if "exercise" in tags(cell)]
    lost = [cell for cell in nb.cells if not any(cell is a for a in answers) and dice.random() < 0.2]  # fmt: skip
    nb.cells = [cell for cell in nb.cells if not any(cell is one for one in lost)]
    if dice.random() < 0.4:
        dice.shuffle(nb.cells)
    broken = ["def (", "!ls\nx = = 3", "%%bash\necho hi", "'unclosed", "    indented", "\0"]
    for _ in range(dice.randrange(5)):
        made = new_code_cell(dice.choice(broken)) if dice.random() < 0.7 else new_markdown_cell("# 99 · Mine")  # fmt: skip
        nb.cells.insert(dice.randrange(len(nb.cells)), made)
    if dice.random() < 0.5:
        for cell in nb.cells:
            cell.metadata = {}
    for cell in code_cells(nb):
        cell.outputs = [new_output("stream", text="✓ all checks pass")] * dice.randrange(3)
