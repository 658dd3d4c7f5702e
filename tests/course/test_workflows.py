"""What runs the course elsewhere: GitHub's workflows, the devcontainer, Binder. Nothing of it can
run here, so its rules are checked.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import environment
import jsonschema
import pytest
import yaml

from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMAS = ("vendor.github-workflows", "custom.github-workflows-require-timeout")
TESTS = ROOT / ".github" / "workflows" / "tests.yml"
each = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path):
    return path.read_text(encoding="utf-8")


def load(text):
    """A workflow; YAML 1.1 reads its key `on` as a truth value."""
    loaded = yaml.safe_load(text)
    return {"on" if key is True else key: value for key, value in loaded.items()}


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


# --- Workflows ------------------------------------------------------------------------------------


def refused(path):
    """What GitHub's own schema has against a workflow file; "" where nothing."""
    for schema in SCHEMAS:
        run = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            return run.stdout + run.stderr
    return ""


needs_schema = pytest.mark.skipif(
    not importlib.util.find_spec("check_jsonschema"),
    reason="check-jsonschema is not installed, which has GitHub's schema; `make setup` installs it",
)


@needs_schema
@each
def test_a_workflow_is_what_github_understands(path):
    assert refused(path) == ""


@needs_schema
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("runs-on: ubuntu-24.04", "run-on: ubuntu-24.04"),
        ("timeout-minutes: 90", "timeout: 90"),
        ("timeout-minutes: 90\n", "\n"),
        ("- run: make test", "- runs: make test"),
        ("contents: read", "contents: reading"),
        ("pull_request:", "pull_requests:"),
    ],
)
def test_a_workflow_that_github_does_not_understand_is_noticed(tmp_path, old, new):
    text = read(TESTS)
    assert old in text
    (tmp_path / "tests.yml").write_text(text.replace(old, new), encoding="utf-8")
    assert refused(tmp_path / "tests.yml") != ""


def only_publishes(job):
    """Whether a job does nothing but put on Pages what another one built, and may do no more."""
    uses = [re.sub("@.*", "", step.get("uses", "a command")) for step in job["steps"]]
    return uses == ["actions/deploy-pages"] and job["permissions"] == {
        "pages": "write",
        "id-token": "write",
    }


def faults(text):
    """Where a workflow may do more than it must, waits for nothing, or calls what is not there."""
    flow = load(text)
    found = []
    if flow.get("permissions") != {"contents": "read"} or any(
        "permissions" in job and not only_publishes(job) for job in flow["jobs"].values()
    ):
        found.append("it may do more than read the repository")
    if "concurrency" not in flow:
        found.append("two runs of the same branch go on side by side")
    for step in steps(flow):
        uses = step.get("uses", "")
        command = step.get("run", "")
        if uses and not re.fullmatch(r"actions/[\w-]+@v\d+(\.\d+)*", uses):
            found.append(f"{uses} is no action of GitHub's own, pinned by a version")
        if (
            uses.startswith("actions/checkout")
            and step.get("with", {}).get("persist-credentials") is not False
        ):
            found.append("the checkout keeps a token")
        if "${{" in command:
            found.append(f"what GitHub fills in becomes a command: {command}")
        targets = re.findall(r"^([a-z][\w-]*)\s*:(?!=)", read(ROOT / "Makefile"), re.M)
        found += [
            f"make {name} is no target"
            for name in re.findall(r"\bmake ([a-z]\w*)", command)
            if name not in targets
        ]
        paths = re.findall(r"(?<![\w./-])(?:tools|tests)/[\w./-]+|[\w-]+\.txt", command)
        found += [f"{path} is not there" for path in paths if not (ROOT / path).exists()]
    return found


@each
def test_a_workflow_may_do_only_what_it_must_and_calls_what_is_there(path):
    assert faults(read(path)) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("contents: read", "contents: write", "may do more"),
        ("\npermissions:\n  contents: read\n", "\n", "may do more"),
        ("    timeout-minutes: 90\n", "    permissions: write-all\n", "may do more"),
        ("concurrency:", "env_:", "side by side"),
        ("actions/checkout@v6", "actions/checkout@main", "pinned by a version"),
        ("actions/setup-python@v6", "somebody/setup-python@v6", "pinned by a version"),
        ("persist-credentials: false", "persist-credentials: true", "keeps a token"),
        ("make test", "make tests", "make tests is no target"),
        ("make test", "echo ${{ github.event.pull_request.title }}", "becomes a command"),
        ("tools/address.py", "tools/addresses.py", "tools/addresses.py is not there"),
        (
            "--ignore=tests/course/test_colab.py",
            "--ignore=tests/course/test_collab.py",
            "tests/course/test_collab.py is not there",
        ),
        ("-r requirements.txt", "-r requirement.txt", "requirement.txt is not there"),
    ],
)
def test_a_fault_of_a_workflow_is_noticed(old, new, fault):
    text = read(TESTS)
    assert old in text
    assert [line for line in faults(text.replace(old, new)) if fault in line]


PAGES = TESTS.with_name("pages.yml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("      id-token: write\n", "      id-token: write\n      contents: write\n"),
        ("    name: Build\n", "    name: Build\n    permissions:\n      pages: write\n"),
        ("        uses: actions/deploy-pages@v4", "        run: make site"),
    ],
)
def test_only_the_job_that_publishes_may_write_and_only_pages(old, new):
    text = read(PAGES)
    assert old in text and faults(text) == []
    assert "it may do more than read the repository" in faults(text.replace(old, new))


def test_the_workflows_cover_the_pythons_the_systems_the_newest_packages_and_everything():
    """Linux with the oldest Python and Colab's; the unit tests on the other systems; once a week
    the newest packages, and everything.
    """
    flow = load(read(TESTS))
    weekly = load(read(TESTS.with_name("weekly.yml")))
    assert set(flow["on"]) >= {"push", "pull_request"} and set(weekly["on"]) >= {
        "schedule",
        "workflow_dispatch",
    }
    everything = flow["jobs"]["course"]
    assert everything["runs-on"].startswith("ubuntu") and {"3.11", "3.13"} <= set(
        everything["strategy"]["matrix"]["python"]
    )
    assert [step["run"] for step in everything["steps"] if "run" in step] == ["make test"]
    assert {
        name.split("-")[0] for name in flow["jobs"]["elsewhere"]["strategy"]["matrix"]["system"]
    } == {
        "macos",
        "windows",
    }
    assert "make test NEWEST=1" in [step.get("run") for step in weekly["jobs"]["newest"]["steps"]]
    assert {"run": "make test", "env": {"FULL": "1"}} in weekly["jobs"]["full"]["steps"]


@each
def test_scope_has_the_history_that_it_compares_with(path):
    """Or it takes every lesson for touched, and a run takes hours."""
    for job in load(read(path))["jobs"].values():
        if any(
            "make test" in step.get("run", "") or "pytest" in step.get("run", "")
            for step in job["steps"]
        ):
            assert job["steps"][0]["with"]["fetch-depth"] == 0


def test_the_readme_shows_how_each_workflow_went():
    shown = re.findall(
        r"github\.com/[\w.-]+/[\w.-]+/actions/workflows/([\w.-]+)/badge\.svg",
        read(ROOT / "README.md"),
    )
    assert sorted(shown) == [path.name for path in WORKFLOWS]


# --- Devcontainer ---------------------------------------------------------------------------------

TEXT = {"type": "string", "minLength": 1}
SIZE = {"type": "string", "pattern": r"^\d+([tgmk]b)?$"}
# What the reference on containers.dev says of the keys in use; another key has to be looked up
# there first.
DEVCONTAINER = {
    "type": "object", "required": ["image", "updateContentCommand"], "additionalProperties": False,
    "properties": {
        "name": TEXT, "image": TEXT, "updateContentCommand": TEXT,
        "hostRequirements": {"type": "object", "additionalProperties": False, "properties": {"cpus": {"type": "integer", "minimum": 1}, "memory": SIZE, "storage": SIZE}},
        "containerEnv": {"type": "object", "additionalProperties": TEXT},
        "forwardPorts": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
        "portsAttributes": {"type": "object", "additionalProperties": {
            "type": "object", "additionalProperties": False, "properties": {"label": TEXT, "onAutoForward": {"enum": ["notify", "openBrowser", "openPreview", "silent", "ignore"]}}}},
        "customizations": {"type": "object", "properties": {"vscode": {
            "type": "object", "additionalProperties": False, "properties": {"extensions": {"type": "array", "items": {"type": "string", "pattern": r"^[\w-]+\.[\w-]+$"}}, "settings": {"type": "object"}}}}},
    },
}  # fmt: skip


def container():
    return json.loads(read(ROOT / ".devcontainer" / "devcontainer.json"))


def test_the_devcontainer_follows_the_published_rules():
    jsonschema.validate(container(), DEVCONTAINER)
    python = re.fullmatch(
        r"mcr\.microsoft\.com/devcontainers/python:(\d+)\.(\d+)", container()["image"]
    )
    assert tuple(map(int, python.groups())) >= environment.LEAST
    assert container()["updateContentCommand"] == "make setup"
    assert container()["customizations"]["vscode"]["settings"][
        "python.defaultInterpreterPath"
    ].endswith("/.venv/bin/python")


@pytest.mark.parametrize(
    "change",
    [
        {"postCreate": "make setup"},
        {"forwardPorts": ["8888"]},
        {"hostRequirements": {"memory": "4 GB"}},
        {"image": ""},
        {"hostRequirements": {"ram": "4gb"}},
        {"portsAttributes": {"8888": {"onAutoForward": "open"}}},
        {"customizations": {"vscode": {"extensions": ["jupyter"]}}},
        {"containerEnv": {"OMP_NUM_THREADS": 1}},
    ],
)
def test_a_devcontainer_that_does_not_is_noticed(change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**container(), **change}, DEVCONTAINER)


# --- Binder ---------------------------------------------------------------------------------------


def test_binder_takes_a_python_and_the_pins_of_the_course():
    """Of the files in binder/, repo2docker reads these two; the rest of the repository's it then
    leaves aside.
    """
    folder = ROOT / "binder"
    assert sorted(path.name for path in folder.iterdir()) == ["postBuild", "runtime.txt"]
    python = re.fullmatch(r"python-(\d+)\.(\d+)\n", read(folder / "runtime.txt"))
    assert tuple(map(int, python.groups())) >= environment.LEAST
    script = read(folder / "postBuild")
    assert script.startswith("#!/usr/bin/env bash\n") and os.access(folder / "postBuild", os.X_OK)
    assert not shutil.which("bash") or subprocess.call(["bash", "-n", folder / "postBuild"]) == 0
    assert (
        "python tools/wheels.py --list > /tmp/pins.txt\npython -m pip install -r /tmp/pins.txt -e .\n"
        in script
    )


def test_every_place_that_is_made_for_cpus_takes_torch_without_cuda():
    index = "https://download.pytorch.org/whl/cpu"
    assert [load(read(path))["env"]["PIP_EXTRA_INDEX_URL"] for path in WORKFLOWS] == [index] * len(
        WORKFLOWS
    )
    assert container()["containerEnv"]["PIP_EXTRA_INDEX_URL"] == index
    assert f"PIP_EXTRA_INDEX_URL={index} " in read(ROOT / "binder" / "postBuild")
