from dataclasses import asdict, replace

import pytest
import torch

import regional_primitives as rp
from regional_primitives.show import reproduce


@pytest.fixture(scope="module")
def decomposition(run_folder):
    return rp.Decomposition.load(run_folder)


def changed(decomposition, **origin):
    return replace(decomposition, provenance=replace(decomposition.provenance, **origin))


def test_the_command_names_what_differs_from_the_defaults(decomposition):
    assert reproduce.command(decomposition) == (
        "primitives explain planted --seed 3 --layer express --grid 4x4 --purpose isolate "
        "--set steps=12 --set batch=9 --set probes=1 --set baseline_count=64"
    )
    usual = changed(decomposition, settings=asdict(rp.Structured()))
    assert reproduce.command(usual) == (
        "primitives explain planted --seed 3 --layer express --grid 4x4"
    )


@pytest.mark.parametrize(
    "origin",
    [
        {"generator": "mine"},
        {"picture_seed": None},
        {"method": "mine"},
        {"settings": {"signed": False}},
    ],
)
def test_no_command_where_it_would_not_give_this_run(decomposition, origin):
    assert reproduce.command(changed(decomposition, **origin)) is None


def test_the_command_for_the_exact_form_names_its_patches_and_nothing_that_is_usual(exact_folder):
    decomposition = rp.Decomposition.load(exact_folder)
    assert reproduce.command(decomposition) == (
        "primitives explain planted --seed 3 --layer express --grid 3x3 --exact 0,1,3,4,8 "
        "--set steps=6 --set tolerance=1.0 --set starts=1 --set start_noise=0.2 "
        "--set baseline_count=64 --set sparse_steps=20 "
        "--set joint_steps=1"
    )
    every = changed(decomposition, settings=asdict(rp.Exact()))
    assert reproduce.command(every).endswith("--grid 3x3 --exact 0,1,2,3,4,5,6,7,8")
    assert not reproduce.changed_settings(every)


def test_the_command_for_a_label_map_takes_it_from_the_run(labelled_folder):
    assert " --regions RUN " in reproduce.command(rp.Decomposition.load(labelled_folder))


@pytest.mark.parametrize("folder", ["run_folder", "labelled_folder", "exact_folder"])
def test_the_python_lines_give_the_same_components(folder, request):
    folder = request.getfixturevalue(folder)
    decomposition = rp.Decomposition.load(folder)
    lines = reproduce.python_lines(decomposition).replace('"RUN"', repr(str(folder)))
    lines = "\n".join(line for line in lines.splitlines() if not line.startswith("scores"))
    names = {}
    exec(lines, names)
    again = names["decomposition"]
    assert torch.equal(again.action_fields, decomposition.action_fields)
    assert torch.equal(again.values, decomposition.values)


def test_the_lines_for_an_own_network_say_what_is_needed(decomposition):
    text = reproduce.python_lines(changed(decomposition, generator="mine", picture_seed=None))
    assert "rp.cut(network, layer='express', image_range=(-1.0, 1.0)" in text
    assert "latents = run.latents" in text
