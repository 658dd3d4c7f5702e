"""Which lessons a change touches: on a small course of three lessons, in a git repository of its
own; then on the course itself.
"""

import os
import shutil
import subprocess

import common
import pytest
import scope

HEADER = "# ---\n# jupyter:\n#   kernelspec:\n#     display_name: Python 3\n#     language: python\n#     name: python3\n# ---\n\n# %%\n"
FILES = {
    "notebooks/src/01_count.py": "from course_utils.count import one\n",
    "notebooks/src/02_draw.py": "from course_utils.draw import line\n",
    "notebooks/src/03_weigh.py": "# %pip install course\nfrom course_utils.count import one\n",
    "course_utils/__init__.py": "",
    "course_utils/count/__init__.py": "one = 1\n",
    "course_utils/count/assets/numbers.json": "{}\n",
    "course_utils/draw/lines.py": "line = '-'\n",
    "course_utils/weigh/scale.py": "from course_utils.draw import lines\n",
    "course_utils/classroom/__init__.py": "show = print\n",
    "README.md": "A course.\n",
}
LONG_AGO = "2026-01-01T00:00:00 +0000"
BEFORE = "2026-01-01T05:00:00 +0000"
NOW = "2026-01-02T00:00:00 +0000"
needs_git = pytest.mark.skipif(
    not shutil.which("git"), reason="git is not installed, and these tests make a repository"
)


class Course:
    """A course in a git repository, which `scope` takes for its own."""

    def __init__(self, folder):
        self.folder = folder
        for name, text in FILES.items():
            self.write(name, HEADER + text if "/src/" in name else text)
        self.git("init", "-q")
        self.commit(LONG_AGO)

    def git(self, *arguments, **variables):
        names = {
            f"GIT_{who}_{what}": f"{who.lower()}@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        run = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **names, **quiet, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    def write(self, name, text):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def touch(self, name):
        """A file with one more comment at its end."""
        self.write(name, (self.folder / name).read_text(encoding="utf-8") + "# more\n")

    def commit(self, when):
        self.git("add", "-A")
        self.git("commit", "-qm", "a commit", GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)

    def extra(self):
        """The lesson that is due whatever changed: one by the newest commit's hash."""
        return ["01_count", "02_draw", "03_weigh"][int(self.git("rev-parse", "HEAD"), 16) % 3]

    def due(self):
        return [path.stem for path in scope.chosen()]

    def due_for(self, names, besides):
        """What is due after a commit that changes these files, less the extra one, which is made to
        be none of `besides`.
        """
        for name in names:
            self.touch(name)
        self.commit(NOW)
        while self.extra() in besides:
            self.git(
                "commit",
                "--amend",
                "-qm",
                f"not {self.git('rev-parse', 'HEAD')}",
                GIT_COMMITTER_DATE=NOW,
            )
        due = self.due()
        assert self.extra() in due
        return [name for name in due if name != self.extra()]


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setattr(scope, "ROOT", tmp_path)
    monkeypatch.setattr(scope, "sources", lambda: common.sources(folder=tmp_path / "notebooks"))
    monkeypatch.setattr(scope, "FULL", False)
    monkeypatch.delenv("COURSE_BASE", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return Course(tmp_path)


@needs_git
@pytest.mark.parametrize(
    ("changed", "lessons"),
    [
        (["notebooks/src/02_draw.py"], ["02_draw"]),
        (["course_utils/draw/lines.py"], ["02_draw"]),
        (["course_utils/count/assets/numbers.json"], ["01_count"]),
        (["course_utils/draw/lines.py", "notebooks/src/01_count.py"], ["01_count", "02_draw"]),
        (["course_utils/classroom/__init__.py"], []),
        (["course_utils/__init__.py", "README.md"], []),
    ],
)
def test_a_lesson_is_due_where_its_source_or_its_room_changed(course, changed, lessons):
    assert course.due_for(changed, besides=lessons) == lessons


@needs_git
def test_the_extra_lesson_goes_by_the_commit_and_reaches_every_lesson(course):
    seen = set()
    for n in range(40):
        course.git(
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            f"commit {n}",
            GIT_AUTHOR_DATE=NOW,
            GIT_COMMITTER_DATE=NOW,
        )
        assert course.due() == course.due() == [course.extra()]
        seen.add(course.extra())
    assert seen == {"01_count", "02_draw", "03_weigh"}


@needs_git
def test_commits_of_the_same_four_hours_are_one_change_and_older_ones_are_not(course):
    course.touch("course_utils/draw/lines.py")
    course.commit(BEFORE)
    course.touch("README.md")
    course.commit("2026-01-01T08:59:00 +0000")
    assert "course_utils/draw/lines.py" in scope.changed_files()
    course.touch("README.md")
    course.commit("2026-01-01T13:30:00 +0000")
    assert scope.changed_files() == {"README.md"}


@needs_git
def test_what_is_not_committed_counts_too(course):
    course.git("commit", "-q", "--allow-empty", "-m", "later", GIT_COMMITTER_DATE=NOW)
    course.touch("course_utils/draw/lines.py")
    course.write("course_utils/draw/new.py", "")
    assert scope.changed_files() == {"course_utils/draw/lines.py", "course_utils/draw/new.py"}
    assert "02_draw" in course.due()


@needs_git
def test_course_base_names_another_start(course, monkeypatch):
    base = course.git("rev-parse", "HEAD")
    course.touch("course_utils/draw/lines.py")
    course.commit(BEFORE)
    course.touch("README.md")
    course.commit(NOW)
    assert scope.changed_files() == {"README.md"}
    monkeypatch.setenv("COURSE_BASE", base)
    assert scope.changed_files() == {"README.md", "course_utils/draw/lines.py"}
    monkeypatch.setenv("COURSE_BASE", "0" * 40)  # what GitHub gives for a branch that is new
    assert scope.changed_files() is None and course.due() == ["01_count", "02_draw", "03_weigh"]


@needs_git
def test_full_gives_every_lesson(course, monkeypatch, capsys):
    monkeypatch.setattr(scope, "FULL", True)
    assert course.due() == ["01_count", "02_draw", "03_weigh"]
    scope.main()
    assert capsys.readouterr().out == "FULL=1: 01_count, 02_draw, 03_weigh\n"


@needs_git
@pytest.mark.parametrize("why", ["no checkout", "no git", "a shallow clone"])
def test_every_lesson_is_due_where_git_does_not_say(course, why, tmp_path, monkeypatch, capsys):
    course.touch("README.md")
    course.commit("2026-01-01T00:01:00 +0000")
    if why == "no checkout":
        shutil.rmtree(course.folder / ".git")
    elif why == "no git":
        monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    else:
        course.git("clone", "-q", "--depth=1", course.folder.as_uri(), "clone")
        monkeypatch.setattr(scope, "ROOT", tmp_path / "clone")
        monkeypatch.setattr(
            scope, "sources", lambda: common.sources(folder=tmp_path / "clone" / "notebooks")
        )
    assert scope.changed_files() is None and course.due() == ["01_count", "02_draw", "03_weigh"]
    scope.main()
    assert capsys.readouterr().out.startswith(
        "every lesson, because git does not say what changed: 01_count"
    )


# --- The course itself ----------------------------------------------------------------------------


def test_every_lesson_has_its_room_and_every_room_its_lesson():
    lessons = {source.stem[3:] for source in common.sources()}
    rooms = {path.parent.name for path in (common.ROOT / "course_utils").glob("*/__init__.py")}
    assert lessons == rooms - {"classroom", "checking", "machine", "stories"}
