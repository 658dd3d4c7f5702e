"""An edition is a tag whose badges name it; the branch stays as it was."""

import subprocess

import pytest
import release

PYPROJECT = '[tool.course]\nrepository = "https://github.com/ada/engine"\nref = "main"\n'
BADGE = "(https://colab.research.google.com/github/ada/engine/blob/main/notebooks/01_x.ipynb)\n"


@pytest.fixture
def course(tmp_path):
    """A small course in a git repository."""
    root = tmp_path / "course"
    (root / "notebooks" / "src").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "README.md").write_text(BADGE)
    (root / "notebooks" / "src" / "01_x.py").write_text(
        '# %pip install "course-utils @ git+https://github.com/ada/engine@main"\n'
    )
    settings = (
        ("user.name", "course"),
        ("user.email", "course@example.org"),
        ("commit.gpgsign", "false"),
        ("tag.gpgsign", "false"),
    )
    for arguments in (
        ["init", "-q", "-b", "main"],
        *(["config", *pair] for pair in settings),
        ["add", "-A"],
        ["commit", "-qm", "first"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root


def test_the_tag_names_itself_and_the_branch_stays(course):
    head = release.git(course, "rev-parse", "HEAD")
    assert "git push origin v2.0" in release.release("v2.0", course)
    tagged = release.git(course, "show", "v2.0:README.md") + release.git(
        course, "show", "v2.0:notebooks/src/01_x.py"
    )
    assert "blob/v2.0/notebooks" in tagged and "engine@v2.0" in tagged and "main" not in tagged
    assert (
        release.git(course, "rev-parse", "HEAD") == head
        and "blob/main/" in (course / "README.md").read_text()
    )
    assert (
        release.git(course, "status", "--porcelain") == ""
        and len(release.git(course, "worktree", "list").splitlines()) == 1
    )


def test_an_edition_is_never_moved_and_holds_only_what_is_committed(course):
    release.release("v2.0", course)
    with pytest.raises(ValueError, match="never moved"):
        release.release("v2.0", course)
    (course / "README.md").write_text("half done")
    with pytest.raises(ValueError, match="not committed"):
        release.release("v2.1", course)


@pytest.mark.parametrize("name", ["2.0", "v2.0-rc", "main", "", "v2..0"])
def test_a_name_that_is_no_edition_is_refused(course, name):
    with pytest.raises(ValueError, match="no edition"):
        release.release(name, course)
