"""notebooks/GLOSSARY.md: every term of the course, in the sentence that explains it.

    python tools/glossary.py            write it
    python tools/glossary.py --check    say whether it is what the lessons say

A term is what stands in bold, in small letters, in the text of a lesson: once in the whole course, in
a sentence that can be understood alone. Bold words that begin with a capital or end with a stop are headings.
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import common
from common import NOTEBOOKS, Problem, sources
from pairs import from_source

FILE = NOTEBOOKS / "GLOSSARY.md"
BOLD = re.compile(r"\*\*([^*]+)\*\*")
HEAD = """# Glossary

Each term of the course, in the words of the lesson that explains it. Written by `tools/glossary.py` from the terms that stand
in bold there.

| term | what it is | lesson |
|---|---|---|
"""
# A sentence that begins so leans on the one before.
LEANING = re.compile(
    r"(This|That|These|Those|It|They|He|She|Its|Their|There|Here|One|So|Then|And|But|Both)\b"
)


@dataclass(frozen=True)
class Term:
    """A term, the sentence that explains it, and the lesson (its file's name) where it stands."""

    name: str
    sentence: str
    stem: str


def terms(folder: Path = NOTEBOOKS) -> list[Term]:
    """All terms, in the order of the alphabet. Raises Problem where one is explained twice, or in
    a sentence that leans on the one before.
    """
    found: dict[str, Term] = {}
    for source in sources(folder=folder):
        for cell in from_source(source).cells:
            for term in _of(cell.source, source.stem) if cell.cell_type == "markdown" else ():
                if term.name in found:
                    raise Problem(
                        f"{term.stem}: **{term.name}** is in bold in {found[term.name].stem} already; use it, without bold"
                    )
                if LEANING.match(term.sentence):
                    raise Problem(
                        f"{term.stem}: the sentence of **{term.name}** leans on the one before: {term.sentence}"
                    )
                found[term.name] = term
    return sorted(found.values(), key=lambda term: term.name)


def _of(text: str, stem: str) -> Iterator[Term]:
    for block in re.split(r"\n\s*\n|\n(?=- |\d+\. |#)", text):
        plain = " ".join(block.split()).removeprefix("- ")
        for sentence in re.split(r"(?<=[.?!])\**\s+(?=[A-Z*`$])", plain):
            for name in BOLD.findall(sentence):
                if name[0].islower() and name[-1] not in ".?!:":
                    whole = BOLD.sub(r"\1", sentence).rstrip(":;.")
                    yield Term(name, f"{whole[0].upper()}{whole[1:]}.", stem)


def page(every: list[Term]) -> str:
    """The text of GLOSSARY.md."""
    rows = [
        f"| **{term.name}** | {term.sentence.replace('|', chr(92) + '|')} | [{term.stem[:2]}]({term.stem}.ipynb) |\n"
        for term in every
    ]
    return HEAD + "".join(rows)


def is_stale() -> bool:
    """Whether the file is not what the lessons say."""
    return not FILE.exists() or FILE.read_text(encoding="utf-8") != page(terms())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        stale = is_stale()
        print(
            "`python tools/glossary.py` writes it anew" if stale else "it is what the lessons say"
        )
        return stale
    common.write(FILE, page(terms()))
    return 0


if __name__ == "__main__":
    common.command(main)
