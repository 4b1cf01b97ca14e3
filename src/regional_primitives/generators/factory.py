"""Generators of your own by name: `package.module:function` or `file.py:function`.

The function returns what `rp.cut` returns. Its code is imported because somebody names it, in a
call or on a command line; what a run's files say of it is never imported by itself.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from regional_primitives.errors import GeneratorError, InputError, first_line
from regional_primitives.generators.generator import Generator

GROUP = "regional_primitives.generators"
"""The entry points by which packages make generators known by name."""
_NAMED = re.compile(r"(?P<place>.+):(?P<function>[^\W\d]\w*)")
_OWN = "regional_primitives"


def registered() -> dict[str, EntryPoint]:
    """Return the generators that installed packages register, by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def names_a_factory(model: str) -> bool:
    """Tell whether a text has the form of a factory's name, or is that of a registered one."""
    return _NAMED.fullmatch(model) is not None or model in registered()


def made_by(model: str, layer: str | None, options: Mapping[str, Any]) -> Generator:
    """Import a factory, and return the generator that it makes.

    Args:
        model: `package.module:function`, `path/file.py:function`, or a registered name.
        layer: passed on as `layer=`, unless it is None.
        options: passed on as keyword arguments.

    Raises:
        InputError: no such module, file or function, or an option that the function does not take.
        GeneratorError: the code fails, or gives something else than a generator.
    """
    given = dict(options) | ({} if layer is None else {"layer": layer})
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"options of {model} are remembered with runs, as JSON, which cannot hold them: {error}"
        ) from error
    # What the code prints is no result of ours.
    with _importable(Path.cwd()), redirect_stdout(sys.stderr):
        factory = _factory(model)
        try:
            inspect.signature(factory).bind(**given)
        except TypeError as error:
            told = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise InputError(f"{model} cannot be called with ({told}): {error}") from error
        except ValueError:  # it tells no signature
            pass
        with _failures(model):
            generator = factory(**given)
    if not isinstance(generator, Generator):
        raise GeneratorError(
            f"{model} gave {type(generator).__name__}; it must return what rp.cut returns"
        )
    made = {"factory": {"model": model, "options": given}}
    return replace(generator, options={**generator.options, **made})


def _factory(model: str) -> Callable[..., Any]:
    named = _NAMED.fullmatch(model)
    if named is None:
        with _failures(model):
            found: Any = registered()[model].load()
            return _callable(model, found)
    place, function = named["place"], named["function"]
    module = _of_file(Path(place).expanduser()) if place.endswith(".py") else _of_package(place)
    if not hasattr(module, function):
        raise InputError(f"{place} has no function {function!r}")
    return _callable(model, getattr(module, function))


def _callable(model: str, found: Any) -> Callable[..., Any]:
    if not callable(found):
        raise InputError(f"{model} is no function, but {type(found).__name__}")
    factory: Callable[..., Any] = found
    return factory


def _of_package(name: str) -> ModuleType:
    with _failures(name):  # of parent packages, which are imported for it
        try:
            missing = importlib.util.find_spec(name) is None
        except (ImportError, ValueError):
            missing = True
    if missing:
        raise InputError(
            f"there is no module {name!r} here; name a file as path/file.py:function, or a module "
            "that Python can import"
        )
    with _failures(name):
        return importlib.import_module(name)


def _of_file(file: Path) -> ModuleType:
    """Import a file under a name of its own, once for each content."""
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    content = hashlib.sha256(str(file.resolve()).encode() + file.read_bytes()).hexdigest()
    name = f"_{_OWN}_{re.sub(r'[^A-Za-z0-9_]', '_', file.stem)}_{content[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with _importable(file.resolve().parent), _failures(str(file)):
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules beside be imported meanwhile, as `python file.py` does."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


@contextmanager
def _failures(model: str) -> Iterator[None]:
    """Tell a failure of somebody's code in one line, with the place in it."""
    try:
        yield
    except (InputError, GeneratorError):
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = (f"{_OWN}/", "<frozen")
        own = [at for at in frames if not any(part in at.filename for part in ours)]
        where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
        raise GeneratorError(
            f"{model} failed: {type(error).__name__}: {first_line(error)}{where}"
        ) from error
