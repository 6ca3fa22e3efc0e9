"""Experiments as plain data: frozen dataclasses to JSON and back, and strict `--set a.b=c` overrides.

JSON names every object by its public dotted path: a dataclass (a Linen module is one) as `{"class": path, field: value}`,
a function as `{"def": path}` and a `functools.partial` of it as `{"def": path, keyword: value}`. `class` and `def` are
Python keywords, so no field and no argument can collide with them. Two experiments are equal if their JSON is.
"""

import dataclasses
import difflib
import functools
import importlib
import importlib.util
import inspect
import json
import math
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from medjax.errors import InputError

Json = Any
# Where a name in a configuration may point to. Everything else is refused, also through a module that imports it.
ROOTS = ("medjax", "optax", "flax.linen", "jax.nn", "configs")
OWNERS = ("medjax", "optax", "flax", "jax", "jaxlib", "configs")
LINEN_FIELDS = ("parent", "name")  # every Linen module has them; they are no settings


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the closest known name, or lists the known ones."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"


def public_name(thing: Any) -> str:
    """Return the public dotted path of a class or a function; lambdas and closures are refused.

    Raises:
        InputError: the object has no public name under `ROOTS`.
    """
    qualified = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
    if "<" in qualified:
        raise InputError(
            f"'{qualified}' (in {getattr(thing, '__module__', '?')}) is a lambda or a function inside a function and has "
            "no name that config.json could hold; define it at the top of the file and use functools.partial"
        )
    module = getattr(thing, "__module__", "") or ""
    own = f"{module}.{qualified}"
    if "._" not in own and _allowed(own) and _lookup(own) is thing:
        return own
    for name in sorted(_public_modules(), key=lambda name: (name.count("."), name)):
        for attribute in (qualified, getattr(thing, "__name__", "")):
            if attribute and vars(sys.modules[name]).get(attribute) is thing:
                return f"{name}.{attribute}"
    raise InputError(f"'{own or thing!r}' has no public name under {', '.join(ROOTS)}; a configuration cannot hold it")


def encode(value: Any, where: str = "experiment") -> Json:
    """Turn an object of a configuration into JSON.

    Args:
        value: numbers, texts, None, tuples, dicts, dataclasses, Linen modules, functions and partials with keywords.
        where: the dotted key, for messages.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return encode(value.item(), where)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{where}: {value} is not a finite number")
        return value
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}.{i}") for i, item in enumerate(value)]
    if isinstance(value, dict):
        if not all(isinstance(key, str) and key not in ("class", "def") for key in value):
            raise InputError(f"{where}: the keys of a dict must be texts other than 'class' and 'def'")
        return {key: encode(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, functools.partial):
        if value.args:
            raise InputError(f"{where}: write the arguments of this partial as keywords")
        settings = {key: encode(item, f"{where}.{key}") for key, item in value.keywords.items()}
        return {"def": public_name(value.func), **settings}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        settings = {f.name: encode(getattr(value, f.name), f"{where}.{f.name}") for f in _fields(type(value))}
        return {"class": public_name(type(value)), **settings}
    if callable(value):
        return {"def": public_name(value)}
    raise InputError(f"{where}: a configuration cannot hold a {type(value).__name__}")


def decode(node: Json, where: str = "experiment") -> Any:
    """Rebuild the object that `encode` described, checking every name, key and type.

    Raises:
        InputError: an unknown key (the nearest known one is suggested), a wrong type, or a name that is not allowed.
    """
    if isinstance(node, list):
        return tuple(decode(item, f"{where}.{i}") for i, item in enumerate(node))
    if not isinstance(node, dict):
        return node
    settings = {key: decode(item, f"{where}.{key}") for key, item in node.items() if key not in ("class", "def")}
    if "class" in node:
        cls = _resolve(node["class"], where)
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            hint = '; a function is named by "def"' if callable(cls) and not isinstance(cls, type) else ""
            raise InputError(f"{where}: '{node['class']}' is not a dataclass{hint}")
        return _build(cls, settings, where)
    if "def" in node:
        function = _resolve(node["def"], where)
        if not callable(function):
            raise InputError(f"{where}: '{node['def']}' is not a function")
        for key in settings:
            _check_argument(function, key, where)
        return functools.partial(function, **settings) if settings else function
    return settings


def override(value: Any, assignments: Iterable[str]) -> Any:
    """Return a copy of a configuration with `key.sub=value` assignments applied, and everything checked again.

    A value is read as JSON (`true`, `null`, `[1, 2]`, `0.1`), otherwise as text.

    Raises:
        InputError: no such key (the nearest is suggested), no `=`, or a value of the wrong type.
    """
    node = encode(value)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise InputError(f"--set {assignment}: write it as key.sub=value")
        _assign(node, path.split("."), _parse(text), path)
    return decode(node)


def dumps(value: Any) -> str:
    """Return the JSON text of a configuration, the content of `config.json`."""
    return json.dumps(encode(value), indent=2) + "\n"


def differences(old: Json, new: Json, where: str = "") -> list[str]:
    """List the keys in which two encoded configurations differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict) and old.get("class") == new.get("class"):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line for key in keys for line in differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if old == new else [f"{where}: {json.dumps(old)} there, {json.dumps(new)} here"]


def load_experiment(path: Path | str, assignments: Iterable[str] = (), attribute: str = "experiment") -> Any:
    """Run a configuration file and return its `experiment`, with `key.sub=value` assignments applied, checked.

    The file becomes the module `configs.<stem>`, so that its own classes and functions have a name. `experiment` may be
    a function whose parameters have annotations and defaults; an assignment to a parameter (`flag=chestmnist`) reaches
    the function, every other one the experiment that it returns.

    Raises:
        InputError: no such file, an error inside it (with its line), or no `experiment` in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such configuration file" + _other_configs(path))
    name = f"configs.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: a configuration is a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    assignments = list(assignments)
    try:
        spec.loader.exec_module(module)
        experiment = getattr(module, attribute, None)
        if inspect.isfunction(experiment):
            experiment, assignments = _call(experiment, assignments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = lines[-1] if lines else getattr(error, "lineno", "?")
        raise InputError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    if experiment is None:
        raise InputError(f"{path}: it defines no '{attribute}'; write `{attribute} = Experiment(...)` in it")
    return override(experiment, assignments)


def _call(function: Callable, assignments: list[str]) -> tuple[Any, list[str]]:
    """Call a configuration's function with the assignments that name its parameters; returns the others as well."""
    parameters, hints = inspect.signature(function).parameters, typing.get_type_hints(function)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty or name not in hints:
            raise InputError(f"the parameter '{name}' of {function.__name__} needs an annotation and a default")
    given, others = {}, []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if equals and name in parameters:
            value = text if hints[name] is str else _parse(text)
            given[name] = _conform(value, hints[name], f"--set {name}")
        else:
            others.append(assignment)
    experiment = function(**given)
    known = {f.name for f in _fields(type(experiment))} if dataclasses.is_dataclass(experiment) else set()
    for assignment in others:
        name = assignment.partition("=")[0].partition(".")[0]
        if name not in known:
            raise InputError(f"--set {assignment}: there is no key '{name}'; {nearest(name, known | set(parameters))}")
    if clash := known & set(parameters):
        raise InputError(f"the parameter '{min(clash)}' has the name of a key of the experiment; rename it")
    return experiment, others


def _allowed(name: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in ROOTS)


def _public_modules() -> list[str]:
    # Thousands of modules are imported, of which a few hundred begin so.
    names = [name for name in sys.modules if name.startswith(ROOTS)]
    return [name for name in names if _allowed(name) and "._" not in name and sys.modules[name] is not None]


def _lookup(name: str) -> Any:
    """Return what a dotted path names in imported modules, or None; a path never walks through a module's imports."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:cut]))
        if module is not None:
            return vars(module).get(parts[cut]) if cut == len(parts) - 1 else None
    return None


def _resolve(name: Any, where: str) -> Any:
    if not isinstance(name, str) or not _allowed(name) or any(part.startswith("_") for part in name.split(".")):
        raise InputError(f"{where}: '{name}' may not be named in a configuration; allowed are {', '.join(ROOTS)}")
    module = name.rpartition(".")[0]
    if name.startswith("medjax.") and module not in sys.modules and importlib.util.find_spec("medjax") is not None:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            raise InputError(f"{where}: there is no module '{module}'") from None
    thing = _lookup(name)
    owner = getattr(thing, "__module__", "") or ""
    if thing is None or isinstance(thing, types.ModuleType):
        hint = "; name the file that defines it (--config, or config_file=...)" if name.startswith("configs.") else ""
        raise InputError(f"{where}: there is no '{name}'{hint}")
    if owner.split(".")[0] not in OWNERS:
        raise InputError(f"{where}: '{name}' belongs to '{owner}' and may not be named in a configuration")
    return thing


def _fields(cls: type) -> list[dataclasses.Field]:
    linen = hasattr(cls, "scope") or any(base.__module__.startswith("flax.linen") for base in cls.__mro__)
    return [f for f in dataclasses.fields(cls) if f.init and not (linen and f.name in LINEN_FIELDS)]


def _build(cls: type, settings: dict[str, Any], where: str) -> Any:
    known = {field.name: field for field in _fields(cls)}
    hints = typing.get_type_hints(cls)
    for key, value in settings.items():
        if key not in known:
            raise InputError(f"{where}: unknown key '{key}'; {nearest(key, known)}")
        settings[key] = _conform(value, hints.get(key, Any), f"{where}.{key}")
    missing = [
        name
        for name, field in known.items()
        if name not in settings
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{where}: '{missing[0]}' is missing")
    try:
        return cls(**settings)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _conform(value: Any, hint: Any, where: str) -> Any:
    """Return the value if it is of the type, whole numbers turned into floats where floats are meant."""
    fits, value = _fit(value, hint)
    if not fits:
        unnamed = isinstance(value, dict) and not {"class", "def"} & set(value)
        advice = '; an object names its "class", a function its "def"' if unnamed else ""
        if not isinstance(value, tuple) and _several(hint):
            advice = "; several are written in brackets, as [64,32]"
        raise InputError(f"{where}: {_show(value)} is not of type {_name(hint)}{advice}")
    return value


def _fit(value: Any, hint: Any) -> tuple[bool, Any]:
    """Say whether a value fits a type, and give it as that type. Every item of a tuple is looked at."""
    from beartype.door import is_bearable

    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        found = [fitted for fits, fitted in (_fit(value, option) for option in arguments) if fits]
        return (True, found[0]) if found else (False, value)
    if origin is tuple and isinstance(value, tuple):
        options = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        items = [_fit(item, option) for item, option in zip(value, options, strict=False)]
        return len(options) == len(value) and all(fits for fits, _ in items), tuple(item for _, item in items)
    if isinstance(value, int) and not isinstance(value, bool) and hint is float:
        return True, float(value)
    if isinstance(value, bool) and hint is int:  # a bool is an int to Python, but not to a person
        return False, value
    return is_bearable(value, hint), value


def _several(hint: Any) -> bool:
    """Whether a type is a tuple of numbers, or may be one."""
    found = [hint, *typing.get_args(hint)]
    return any(typing.get_origin(one) is tuple and {int, float} & set(typing.get_args(one)) for one in found)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."


def _name(hint: Any) -> str:
    return str(getattr(hint, "__name__", hint) if isinstance(hint, type) else hint).replace("typing.", "")


def _parameters(function: Callable) -> dict[str, inspect.Parameter] | None:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None


def _check_argument(function: Callable, key: str, where: str) -> None:
    parameters = _parameters(function)
    if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    if key not in parameters:
        name = getattr(function, "__name__", str(function))
        raise InputError(f"{where}: {name} has no argument '{key}'; {nearest(key, parameters)}")


def _assign(node: Json, keys: list[str], value: Json, path: str) -> None:
    where = "experiment"
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise InputError(f"--set {path}: '{key}' is not a position in {where} (0 to {len(node) - 1})")
            key = int(key)
        elif isinstance(node, dict):
            settings = [name for name in node if name not in ("class", "def")]
            if "def" in node and key not in node:
                _check_argument(_resolve(node["def"], where), key, f"--set {path}")
                if not last:
                    raise InputError(f"--set {path}: {where}.{key} is not set, so nothing below it can be")
            elif key not in settings:
                raise InputError(f"--set {path}: {where} has no key '{key}'; {nearest(key, settings)}")
        else:
            raise InputError(f"--set {path}: {where} is {_show(node)} and has no keys")
        if last:
            node[key] = value
        else:
            node, where = node[key], f"{where}.{key}"


def _parse(text: str) -> Json:
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    if re.fullmatch(r"[+-]?(\d+\.|\.\d+)([eE][+-]?\d+)?", text):  # .5 and 5., which JSON does not know
        return float(text)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _other_configs(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("configs")
    found = sorted(str(other) for other in folder.glob("*.py")) if folder.is_dir() else []
    return f"; {nearest(str(path), found)}" if found else ""
