"""Notebooks from their sources: `notebooks/src/NN_topic.py` (jupytext percent) to
`notebooks/NN_topic.ipynb`, and the variants.

    python tools/notebooks.py build [01 …] [--only-changed]   execute, save the outputs
    python tools/notebooks.py source [01 …]                   the other way: what was edited in Jupyter, back into the source
    python tools/notebooks.py check [01 …]                    say where a notebook and its source disagree
    python tools/notebooks.py instructor [01 …]               solutions filled in, in build/instructor/
    python tools/notebooks.py slides [01 …]                   reveal.js decks, in build/slides/
    python tools/notebooks.py pages [01 …]                    pages whose views live without a kernel, in build/pages/
    python tools/notebooks.py claims [--check]                notebooks/CLAIMS.md from the claims tables
"""

import argparse
import sys

import common
from common import Problem, pair_of, sources
from pairs import build, disagreements, take_back
from stubs import stale

from course_utils.exercises import catalog


def _build(args: argparse.Namespace) -> int:
    failed = 0
    for source in sources(args.notebooks):
        try:
            if old := stale(source, catalog.find):
                raise Problem(
                    f"{'; '.join(old)}; `python tools/stubs.py {source.stem[:2]}` writes them anew"
                )
            print(f"{source.stem}: {build(source, args.only_changed)}", flush=True)
            failed += _report(disagreements(pair_of(source)))
        except Problem as problem:
            failed += _report(
                [str(problem), f"{source.stem}: the saved notebook was left as it was"]
            )
    return bool(failed)


def _source(args: argparse.Namespace) -> int:
    for source in sources(args.notebooks):
        print(
            f"{source.stem}: {'source rewritten; `build` it to refresh the outputs' if take_back(source) else 'unchanged'}"
        )
    return 0


def _check(args: argparse.Namespace) -> int:
    return _report(
        [line for source in sources(args.notebooks) for line in disagreements(pair_of(source))]
    )


def _instructor(args: argparse.Namespace) -> int:
    import instructor

    failed = 0
    for source in sources(args.notebooks):
        try:
            print(instructor.build(source, execute=args.execute), flush=True)
        except Problem as problem:
            failed += _report([str(problem)])
    return bool(failed)


def _slides(args: argparse.Namespace) -> int:
    import slides

    for source in sources(args.notebooks):
        print(slides.build(pair_of(source), alive=True), flush=True)
    return 0


def _pages(args: argparse.Namespace) -> int:
    import pages

    for source in sources(args.notebooks):
        print(pages.build(pair_of(source)), flush=True)
    return 0


def _claims(args: argparse.Namespace) -> int:
    import claims

    return _report(claims.disagreements()) if args.check else print(claims.build()) or 0


def _report(lines: list[str]) -> int:
    """Prints what is wrong, and says by 1 or 0 whether there was anything."""
    print("\n".join(lines), end="\n" if lines else "", file=sys.stderr)
    return bool(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, work, about in [
        ("build", _build, "execute the sources and save the notebooks"),
        ("source", _source, "write what was edited in Jupyter back into the sources"),
        ("check", _check, "list where notebooks and sources disagree"),
        ("instructor", _instructor, "the solved versions, in build/instructor/"),
        ("slides", _slides, "reveal.js decks that work offline, in build/slides/"),
        ("pages", _pages, "pages whose views live without a kernel, in build/pages/"),
        ("claims", _claims, "notebooks/CLAIMS.md, from the claims tables"),
    ]:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(work=work)
        if name == "claims":
            sub.add_argument(
                "--check", action="store_true", help="only say whether the file is up to date"
            )
        else:
            sub.add_argument(
                "notebooks", nargs="*", metavar="NB", help="e.g. 01; all of them if none is given"
            )
        if name == "build":
            sub.add_argument(
                "--only-changed",
                action="store_true",
                help="do not run a notebook again whose code is as it was",
            )
        if name == "instructor":
            sub.add_argument(
                "--execute",
                action=argparse.BooleanOptionalAction,
                default=True,
                help="run the cells and the checks",
            )
    args = parser.parse_args()
    return args.work(args)


if __name__ == "__main__":
    common.command(main)
