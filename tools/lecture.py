"""What of a lesson stands on the wall, and what the speaker says: a lecture, not a cut-up notebook.

On a slide stand headings, questions, formulas, tables, the sentence that a paragraph is about,
short code, outputs, and the stub of an exercise. The rest of the text and longer code are the
speaker's notes, with the minutes that it takes. A cell with `slideshow` metadata in the source is
shown as it is, and `skip` leaves it out.
"""

import ast
import html
import inspect
import itertools
import re
from collections.abc import Callable, Iterator

from cells import BADGE, calls, checked, form_title, tags, tree
from layout import CONCLUDES, OUTPUT, blocks, kind, level, output_only
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

CLAIMS = "application/vnd.course.claims+json"
CODE = 12  # lines of code on a slide, at most
WORDS = 40  # in the sentences of one piece of prose on a slide
ITEMS = 6  # of a list
SPOKEN = 130  # words a minute that a speaker says
LOOK = 0.5  # minutes for code, a picture, a view
# Calls that a lecture does without; what counts for a claim stands beside its verdict.
DULL = {"hint", "solution", "progress", "exercises.progress", "claims.expect", "claims.criteria"}
READING = re.compile(r"(?i)further reading|prerequisites?\b")
SPEAKER = re.compile(r"<!--\s*speaker:\s*(.*?)\s*-->\n?", re.S)
# The end of a sentence: not after an abbreviation or an initial.
END = re.compile(
    r"(?<![A-Z])(?<!\be\.g)(?<!\bi\.e)(?<!\bal)(?<!\bFig)(?<!\bEq)(?<!\bvs)(?<!\bno)[.?!](?:\*\*|\*|”|\"|\))*(?=\s+[A-Z0-9*`“\"$(])"
)


def lecture(cells: list[NotebookNode], find: Callable) -> list[NotebookNode]:
    """The pieces of the slides in order, and behind each its notes. `find` gives the Exercise for a
    `topic.name`, whose hints and solution go to the notes.
    """
    pieces = []
    after_code = False
    for number, cell in enumerate(cells):
        following = cells[number + 1] if number + 1 < len(cells) else None
        starts = following is not None and tags(following) & {"setup", "imports"}
        if kind(cell) == "skip" or (starts and cell.cell_type == "markdown" and not level(cell)):
            continue
        if kind(cell) == "notes":
            pieces += _notes([cell.source])
        elif cell.cell_type == "markdown":
            if following is not None and _is_dull(following):
                cell.source = re.sub(r"(?m)(?:\A|\n\n)[^\n]*:\s*\Z", "", cell.source)
            pieces += _prose(cell, after_code, leads=_shows(following))
        else:
            pieces += _code(cell, find)
        if kind(cell) != "notes":
            after_code = cell.cell_type == "code" and not tags(cell) & {"exercise", "check"}
    return pieces


# --- Prose ----------------------------------------------------------------------------------------


def _prose(cell: NotebookNode, after_code: bool, leads: bool) -> Iterator[NotebookNode]:
    """A cell's pieces: what it concludes from the output above, what begins something new. leads:
    whether the next cell shows what its last question asks.
    """
    said = SPEAKER.findall(cell.source)
    source = BADGE.sub("", SPEAKER.sub("", cell.source)).strip()
    if kind(cell):
        shown = new_markdown_cell(source, metadata=cell.metadata)
        yield shown
        yield from _notes(said)
        return
    parts = blocks(source)
    concluding = _conclusion(parts) if after_code else 0
    if (
        after_code
        and not leads
        and concluding == len(parts) - 1
        and leading(parts[-1]).endswith("?")
    ):
        concluding += 1  # a question that an exercise or the next section answers
    for number, part in enumerate([parts[:concluding], *_sections(parts[concluding:])]):
        tagged = [] if number else [CONCLUDES]
        shown, kept_back = essence(part)
        if shown:
            yield new_markdown_cell("\n\n".join(shown), metadata={"tags": tagged})
        yield from _notes(part if kept_back else [], words=_words(part))
    yield from _notes(said)


def _is_dull(cell: NotebookNode) -> bool:
    return not kind(cell) and bool({name for name, _ in calls(cell.source)} & DULL)


def _shows(cell: NotebookNode | None) -> bool:
    return cell is not None and cell.cell_type == "code" and "exercise" not in tags(cell)


def _sections(parts: list[str]) -> list[list[str]]:
    """Paragraphs cut before each heading."""
    starts = [n for n, part in enumerate(parts) if n == 0 or re.match(r"#{1,3} ", part)]
    return [parts[a:b] for a, b in itertools.pairwise([*starts, len(parts)])]


def essence(parts: list[str]) -> tuple[list[str], bool]:
    """(what of these paragraphs stands on a slide, whether anything was kept back)."""
    if not parts or READING.search(parts[0]) and re.match("#", parts[0]):
        return [], bool(parts)
    title = parts[0].startswith("# ")
    shown = []
    words = 0
    for number, block in enumerate(parts):
        if re.match(r"#|\$\$|\||```|!\[", block):
            shown.append(block)
            continue
        if re.match(r"\s*(?:[-*+]|\d+[.)]) ", block):
            if not title and len(block.splitlines()) <= 2 * ITEMS:
                shown.append(block)
            continue
        sentence = leading(block)
        first = not any(not re.match("#", part) for part in parts[:number])
        if (first or (not title and _weighs(sentence))) and (
            words == 0 or words + len(sentence.split()) <= WORDS
        ):
            shown.append(sentence)
            words += len(sentence.split())
    return shown, "\n\n".join(shown) != "\n\n".join(parts)


def leading(paragraph: str) -> str:
    """The sentence that a paragraph is about: its beginning in bold, else its first question, else
    the sentence that explains a term in bold, else its first. A label in bold stays before it.
    """
    if label := re.match(r"\*\*[^*\s]+(?: [^*\s]+){0,5}[.:]\*\*\s+", paragraph):
        return label[0] + leading(paragraph[label.end() :])
    found = sentences(paragraph)
    if re.match(r"\*\*", paragraph):
        return found[0]
    for wanted in (lambda s: s.rstrip('*”")').endswith("?"), lambda s: "**" in s):
        if (best := next(filter(wanted, found), None)) is not None:
            return best
    return found[0]


def sentences(paragraph: str) -> list[str]:
    """A paragraph's sentences; one that is cut in a bold phrase or a formula is joined again."""
    text = re.sub(r"\s*\n\s*", " ", paragraph.strip())
    cuts = [0, *(match.end() for match in END.finditer(text)), len(text)]
    found = [text[a:b].strip() for a, b in itertools.pairwise(cuts) if text[a:b].strip()]
    joined = []
    for sentence in found:
        if joined and (joined[-1].count("**") % 2 or joined[-1].count("$") % 2):
            joined[-1] += " " + sentence
        else:
            joined.append(sentence)
    return joined


def _weighs(sentence: str) -> bool:
    return "**" in sentence or sentence.rstrip('*”")').endswith("?")


def _conclusion(parts: list[str]) -> int:
    """How many paragraphs, after code, still speak of its output: those before the next question,
    heading, example, or announcement of what comes (`:`).
    """
    starts = (
        n
        for n, block in enumerate(parts)
        if re.match(r"\*\*|#", block) or leading(block)[-1] in ":?"
    )
    new = next(starts, None)
    return len(parts) if new is None else new


def _words(parts: list[str]) -> int:
    return sum(len(part.split()) for part in parts)


# --- Code -----------------------------------------------------------------------------------------


def _code(cell: NotebookNode, find: Callable) -> Iterator[NotebookNode]:
    """A code cell's piece, if it has one, and its notes."""
    alts = [
        output.get("metadata", {}).get("image/png", {}).get("alt", "")
        for output in cell.get("outputs", [])
    ]
    if tags(cell) & {"setup", "imports"} and not kind(cell):
        return
    if "check" in tags(cell):
        yield from _notes(list(_exercises(cell, find)))
        return
    if _is_dull(cell):
        return
    if "exercise" in tags(cell):
        cell.source = task(cell.source)
    elif form_title(cell) or (_lines(cell.source) > CODE and not kind(cell)):
        if not form_title(cell):
            alts.append(f"```python\n{cell.source.rstrip()}\n```")
        cell = output_only(cell)
    alts += [_short(output) for output in cell.outputs if CLAIMS in output.get("data", {})]
    if cell.outputs or OUTPUT not in tags(cell):
        cell.metadata["minutes"] = LOOK
        yield cell
    yield from _notes(alts)


def _short(output: NotebookNode) -> str:
    """Leaves of a claims table what a last row reads; returns the rest, for the notes."""
    rows = output.data[CLAIMS]
    columns = ("id", "claim", "published", "measured", "verdict")
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(row[name]))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    output.data["text/html"] = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return "\n\n".join(f"**{row['id']}** {row['reason']}" for row in rows if row["reason"])


def task(source: str) -> str:
    """The stub of an exercise as a slide shows it: each signature, and the first sentence of its
    docstring.
    """
    shown = []
    for node in tree(source).body:
        inner = [node, *node.body] if isinstance(node, ast.ClassDef) else [node]
        for part in inner:
            if not isinstance(part, ast.FunctionDef | ast.ClassDef):
                continue
            end = max(part.body[0].lineno - 1, part.lineno)  # a body may stand on the same line
            lines = source.splitlines()[part.lineno - 1 : end]
            indent = re.match(r"\s*", lines[0])[0]
            text = inspect.cleandoc(ast.get_docstring(part) or "").split("\n\n")[0]
            text = sentences(text)[0] if text else ""
            shown += [*lines, *([f'{indent}    """{text}"""'] if text else [])]
            if isinstance(part, ast.FunctionDef):
                shown.append(f"{indent}    ...")
    return "\n".join(shown[:CODE]) or source


def _exercises(cell: NotebookNode, find: Callable) -> Iterator[str]:
    for name in checked(new_notebook(cells=[cell])):
        exercise = find(name)
        yield f"**{exercise.name}**: difficulty {exercise.difficulty} of 3, {exercise.minutes} minutes."
        yield from (f"Hint {number}: {hint}" for number, hint in enumerate(exercise.hints, 1))
        yield f"```python\n{inspect.getsource(exercise.reference).rstrip()}\n```"


def _lines(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


# --- Notes ----------------------------------------------------------------------------------------


def _notes(texts: list[str], words: int = 0) -> list[NotebookNode]:
    """One cell of notes with these texts; it also carries the time that the words take."""
    texts = [text for text in texts if text]
    if not texts and not words:
        return []
    metadata = {"slideshow": {"slide_type": "notes"}, "minutes": words / SPOKEN}
    return [new_markdown_cell("\n\n".join(texts), metadata=metadata)]


def clocked(pieces: list[NotebookNode]) -> list[NotebookNode]:
    """The arranged pieces, each slide with a first note that says how long it takes and how much of
    the lecture is over then; notes without text go.
    """
    slides = []
    for piece in pieces:
        if kind(piece) in ("slide", "subslide") or not slides:
            slides.append([])
        slides[-1].append(piece)
    times = [sum(piece.metadata.get("minutes", 0) for piece in slide) for slide in slides]
    timed = []
    for number, (slide, minutes) in enumerate(zip(slides, times, strict=True), 1):
        over = sum(times[:number])
        text = f"**{_said(minutes)}** After this slide, {over:.0f} of {sum(times):.0f} minutes are over (exercises not counted)."
        first, *rest = slide
        timed += [
            first,
            *_notes([text]),
            *(p for p in rest if p.source.strip() or p.cell_type == "code"),
        ]
    for number, piece in enumerate(timed, 1):
        piece.id = f"piece-{number:03d}"  # the same at every build
    return timed


def _said(minutes: float) -> str:
    if minutes < 1.5:
        return "Half a minute." if minutes < 0.75 else "One minute."
    return f"About {minutes:.0f} min."
