"""The house rules that a machine can check: which room imports which, no circles, files of a readable length."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import medjax

PACKAGE = Path(medjax.__file__).parent
LONGEST = 450  # lines of a file
# Each room (a file, or a folder of files) imports only from rooms that stand before it, at the top of a file or lazily.
ROOMS = [
    "errors", "pages", "config", "keys", "metrics", "losses", "survival_losses", "segmentation_losses", "data", "preprocess", "vocabulary", "augment", "models", "tasks", "experiment",
    "folder", "training", "predict", "baselines", "evidence", "layout", "job", "memory", "predictor", "segmentation", "reserved", "results", "external", "report", "facts", "judging",
    "fit", "run", "learning", "sweep", "judge", "suspects", "treatment", "new", "verbs", "cli", "__main__",
]  # fmt: skip


def module(path: Path, root: Path = PACKAGE) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(["medjax", *parts]).removesuffix(".__init__")


def imports(source: str, own: str, package: bool, files: set[str]) -> set[str]:
    """Return the files of medjax that a file imports, anywhere in it; a name that is no file counts for its module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = own.split(".")[: len(own.split(".")) - node.level + package] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            names = [(prefix, [alias.name for alias in node.names])]
        for name, attributes in names:
            inner = {f"{name}.{attribute}" for attribute in attributes if f"{name}.{attribute}" in files}
            found |= inner
            if len(inner) < max(len(attributes), 1) and name in files:
                found.add(name)
    return found - {own}


def graph(root: Path) -> dict[str, set[str]]:
    paths = {module(path, root): path for path in sorted(root.rglob("*.py"))}
    return {
        name: imports(path.read_text(), name, path.name == "__init__.py", set(paths)) for name, path in paths.items()
    }


def upwards(edges: dict[str, set[str]]) -> list[str]:
    """Return every import that goes to a room that stands later in the list."""
    place = {room: number for number, room in enumerate(ROOMS)}
    return [
        f"{name} imports {other}"
        for name, others in edges.items()
        for other in others
        if name != "medjax" and (other == "medjax" or place[other.split(".")[1]] > place[name.split(".")[1]])
    ]


def circle(edges: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_file_belongs_to_a_room():
    assert {name.split(".")[1] for name in graph(PACKAGE) if name != "medjax"} == set(ROOMS)


def test_rooms_import_only_from_rooms_above_them():
    edges = graph(PACKAGE)
    assert sum(map(len, edges.values())) > 100  # the parser finds them
    assert "medjax.data.builders" in edges["medjax.data.dataset"]  # lazy ones too
    assert upwards(edges) == []


def test_no_file_imports_itself_through_others():
    assert circle(graph(PACKAGE)) == []


def test_this_file_sees_a_circle_and_a_step_upwards(tmp_path):
    (tmp_path / "training").mkdir()
    for name, text in {
        "__init__": "", "errors": "", "training/__init__": "", "losses": "import medjax.errors",
        "training/state": "def f():\n    from . import step", "training/step": "from .state import f",
        "keys": "def f():\n    from medjax import losses",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
    edges = graph(tmp_path)
    assert edges["medjax.training.state"] == {"medjax.training.step"}
    assert edges["medjax.losses"] == {"medjax.errors"}
    assert upwards(edges) == ["medjax.keys imports medjax.losses"]
    assert set(circle(edges)) == {"medjax.training.state", "medjax.training.step"}


def test_no_file_is_longer_than_one_sitting():
    lengths = {module(path): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: count for name, count in lengths.items() if count > LONGEST} == {}


def test_there_is_no_drawer_for_everything():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "common", "misc", "core", "base"}


def test_the_story_of_a_run_does_not_ask_for_the_kind_of_its_task():
    """`judging.of` and `layout.layout` are the places that know."""
    assert ".kind" not in (PACKAGE / "run.py").read_text()
