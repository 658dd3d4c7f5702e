"""The table of lessons in README.md and in lesson 00, and the map there, from what each lesson says
of itself in its opening.

    python tools/lesson_map.py            write them
    python tools/lesson_map.py --check    say which of them is not what the lessons say
"""

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import address
import common
from common import NOTEBOOKS, ROOT, Problem, sources
from pairs import from_source

BEGIN = "<!-- lessons: written by tools/lesson_map.py -->"
END = "<!-- end of lessons -->"
MAP_BEGIN = "# map: written by tools/lesson_map.py"
MAP_END = "# end of map"
DOOR = "00_language_models"


@dataclass(frozen=True)
class Lesson:
    """What a lesson's opening says: its number, file, title, running time, and the lessons that it
    builds on.
    """

    stem: str
    title: str
    time: str
    needs: tuple[str, ...]

    @property
    def number(self) -> str:
        return self.stem[:2]


def lessons(folder: Path = NOTEBOOKS) -> list[Lesson]:
    """All lessons in order. Raises Problem where an opening does not say what the table needs."""
    return [_read(source) for source in sources(folder=folder)]


def _read(source: Path) -> Lesson:
    opening = from_source(source).cells[0].source
    parts = {
        "title (# NN · …)": re.search(rf"^# {source.stem[:2]} · (.+)", opening),
        "time (**Time.** Running: … .)": re.search(r"\*\*Time\.\*\* Running: ([^.]+)\.", opening),
        "prerequisites (**Prerequisites.** …)": re.search(
            r"(?s)\*\*Prerequisites\.\*\* (.+?)(?:\n\n|\Z)", opening
        ),
    }
    if missing := [what for what, found in parts.items() if not found]:
        raise Problem(f"{source.name}: its opening has no {missing[0]}")
    title, time, needs = (found[1] for found in parts.values())
    return Lesson(source.stem, title, " ".join(time.split()), tuple(_numbers(needs)))


def _numbers(text: str) -> list[str]:
    """The lessons that a sentence names: "Lessons 02 to 04 and 06" gives 02, 03, 04, 06."""
    found = []
    for first, _, last in re.findall(r"\b(\d\d)( to (\d\d))?\b", text):
        found += [f"{n:02d}" for n in range(int(first), int(last or first) + 1)]
    return sorted(set(found))


def readme_table(all_lessons: list[Lesson]) -> str:
    where = address.read(ROOT)
    owner = where.repository.removeprefix("https://github.com/")
    badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    rows = ["| | lesson | open | builds on | time to run |", "|---|---|---|---|---|"]
    for lesson in all_lessons:
        link = f"(https://colab.research.google.com/github/{owner}/blob/{where.ref}/notebooks/{lesson.stem}.ipynb)"
        title = f"[{lesson.title}](notebooks/{lesson.stem}.ipynb)"
        rows.append(
            f"| {lesson.number} | {title} | {badge}{link} | {', '.join(lesson.needs) or '–'} | {lesson.time} |"
        )
    return "\n".join(rows)


def door_table(all_lessons: list[Lesson]) -> str:
    rows = ["| | lesson | builds on |", "|---|---|---|"]
    for lesson in all_lessons:
        if lesson.stem != DOOR:
            rows.append(
                f"| {lesson.number} | [{lesson.title}]({lesson.stem}.ipynb) | {', '.join(lesson.needs) or '–'} |"
            )
    return "\n".join(rows)


def door_map(all_lessons: list[Lesson]) -> str:
    """The lessons as code, from which lesson 00 draws its map: {number: (name, what it builds on)}.

    >>> print(door_map([Lesson("02_attention", "…", "…", ("01",))]))
    LESSONS = {
        "02": ("attention", ["01"]),
    }
    """
    rows = [
        f'    "{lesson.number}": ("{lesson.stem[3:].replace("_", " ")}", {json.dumps(lesson.needs)}),'
        for lesson in all_lessons
        if lesson.stem != DOOR
    ]
    return "\n".join(["LESSONS = {", *rows, "}"])


def mapped(text: str, code: str) -> str:
    """The text with the code between its two marks.

    >>> mapped(f"{MAP_BEGIN}\\nold\\n{MAP_END}", "new").splitlines()[1]
    'new'
    """
    pattern = rf"(?s)({re.escape(MAP_BEGIN)})\n.*?({re.escape(MAP_END)})"
    if not re.search(pattern, text):
        raise Problem(f"the marks {MAP_BEGIN} and {MAP_END} are missing")
    return re.sub(pattern, lambda found: f"{found[1]}\n{code}\n{found[2]}", text)


def written(text: str, table: str, comment: str = "") -> str:
    """The text with the table between its two marks; `comment` begins each line in a jupytext
    script.
    """
    lines = "\n".join(f"{comment}{line}" for line in ["", table, ""] for line in line.split("\n"))
    lines = re.sub(r"(?m)[ \t]+$", "", lines)
    pattern = rf"(?s)({re.escape(BEGIN)})\n.*?({re.escape(comment)}{re.escape(END)})"
    if not re.search(pattern, text):
        raise Problem(f"the marks {BEGIN} and {END} are missing")
    return re.sub(pattern, lambda found: f"{found[1]}\n{lines}\n{found[2]}", text)


def places() -> dict[Path, str]:
    """The two files, each with the text that it should have."""
    every = lessons()
    readme = ROOT / "README.md"
    door = NOTEBOOKS / "src" / f"{DOOR}.py"
    lesson = written(door.read_text(encoding="utf-8"), door_table(every), "# ")
    return {
        readme: written(readme.read_text(encoding="utf-8"), readme_table(every)),
        door: mapped(lesson, door_map(every)),
    }


def disagreements() -> list[str]:
    """Empty where both tables are what the lessons say."""
    stale = [path for path, text in places().items() if path.read_text(encoding="utf-8") != text]
    return [
        f"{path.name}: its table of lessons is not what the lessons say; `python tools/lesson_map.py` writes it"
        for path in stale
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        found = disagreements()
        print("\n".join(found) or "both tables are what the lessons say")
        return bool(found)
    for path, text in places().items():
        common.write(path, text)
    return 0


if __name__ == "__main__":
    common.command(main)
