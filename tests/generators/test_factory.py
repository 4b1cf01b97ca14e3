"""Generators by the name of a function: files, modules, registered names."""

import sys

import pytest

import regional_primitives as rp
from regional_primitives.generators import factory, load_recorded

CODE = """
import helper
import torch
import regional_primitives as rp

number = 3

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.ConvTranspose2d(2, 4, 4)
        self.b = torch.nn.ConvTranspose2d(4, 3, 5)

    def forward(self, latent):
        return torch.tanh(self.b(self.a(latent)))

def make(seed=0, layer="a", device="cpu"):
    torch.manual_seed(seed)
    return rp.cut(Net(), layer, name="mine", baseline_count=8,
                  sample_latents=lambda count, rng: torch.randn(count, 2, 1, 1, generator=rng))

def fails():
    return [][1]

def other():
    return "a generator"

def leaves():
    raise SystemExit(3)

def talks(**options):
    print("hello")
    return make()
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "helper.py").write_text("")
    path = tmp_path / "my_model.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def place(tmp_path, file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("my_model", "helper"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("named", ["my_model.py:make", "my_model:make", "{}/my_model.py:make"])
def test_a_function_is_named_by_file_or_module(place, named):
    before = list(sys.path)
    generator = rp.load_generator(named.format(place), layer="b", seed=5)
    assert generator.name == "mine"
    assert generator.layer == "b"
    assert sys.path == before
    again = rp.load_generator(named.format(place), seed=6)
    assert again.digest != generator.digest
    assert again.layer == "a"


def test_a_run_remembers_what_it_was_made_with_and_runs_no_code_by_itself(place):
    generator = rp.load_generator("my_model.py:make", seed=5)
    options = generator.options
    assert options == {"factory": {"model": "my_model.py:make", "options": {"seed": 5}}}
    for name in ("mine", "faces"):
        with pytest.raises(rp.GeneratorError, match=r"only run when you name it.*--model my_model"):
            load_recorded(name, "a", options)
    again = load_recorded("mine", "a", options, "my_model.py:make")
    assert again.digest == generator.digest
    assert load_recorded("mine", "a", options, "my_model:make", seed=6).digest != again.digest


def test_an_installed_package_may_register_a_name(place, monkeypatch):
    point = factory.EntryPoint("mine", "my_model:make", factory.GROUP)
    monkeypatch.setattr(factory, "entry_points", lambda group: [point])
    assert rp.load_generator("mine").name == "mine"
    with pytest.raises(rp.InputError, match=r"there are: faces, .*, mine; one of your own"):
        rp.load_generator("yours")


@pytest.mark.parametrize(
    ("named", "options", "error", "message"),
    [
        ("none.py:make", {}, rp.InputError, "there is no file none.py"),
        ("no_such_module:make", {}, rp.InputError, "there is no module 'no_such_module' here"),
        ("no.such.module:make", {}, rp.InputError, "there is no module 'no.such.module' here"),
        ("my_model.py:made", {}, rp.InputError, "my_model.py has no function 'made'"),
        ("my_model.py:number", {}, rp.InputError, "is no function, but int"),
        ("my_model.py:make", {"depth": 3}, rp.InputError, r"called with \(depth=3\)"),
        ("my_model.py:make", {"size": 3}, rp.InputError, r"called with \(size=3\)"),
        ("my_model.py:fails", {}, rp.GeneratorError, "IndexError: .*my_model.py, line 2"),
        ("my_model.py:leaves", {}, rp.GeneratorError, "failed: SystemExit: 3"),
        ("broken.inner:make", {}, rp.GeneratorError, "broken.inner failed: SyntaxError"),
        ("leaver.inner:make", {}, rp.GeneratorError, "leaver.inner failed: SystemExit: 3"),
        ("my_model.py:talks", {"a": float("nan")}, rp.InputError, "as JSON, which cannot hold"),
        ("my_model.py:other", {}, rp.GeneratorError, "gave str; it must return what rp.cut"),
        ("broken.py:make", {}, rp.GeneratorError, "broken.py failed: SyntaxError"),
        ("faces", {"depth": 3}, rp.InputError, "'faces' takes no option 'depth'"),
        ("facse", {}, rp.InputError, "not in the zoo; did you mean 'faces'"),
    ],
)
def test_bad_input_names_of_functions(place, named, options, error, message):
    (place / "broken.py").write_text("def make(:")
    (place / "leaver.py").write_text("raise SystemExit(3)")
    with pytest.raises(error, match=message) as told:
        rp.load_generator(named, **options)
    assert len(str(told.value).splitlines()) == 1


def test_what_a_function_prints_is_no_result(place, capsys):
    rp.load_generator("my_model.py:talks", a=1)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")
