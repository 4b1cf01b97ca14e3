"""Sanity checks: what nonsense leaves of an explanation, where its components are known."""

from __future__ import annotations

import html
import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import regional_primitives as rp
from regional_primitives.cli import app
from regional_primitives.runs import folder as runs
from regional_primitives.sanity import suite
from regional_primitives.sanity.neighbours import neighbour
from regional_primitives.sanity.shuffled import parts_in_order, shuffled
from regional_primitives.sanity.suite import CHECKS, Sanity
from regional_primitives.scores.agreement import field_stability
from regional_primitives.show.report import write_report

FAST = rp.Structured(steps=40, batch=16, probes=2, baseline_count=32)


@pytest.fixture(scope="module")
def planted():
    generator = rp.load_generator("planted")
    latents = generator.sample_latents(1, seed=0)
    return generator, rp.explain(generator, latents, rp.Regions.grid(4, 4), FAST)


@pytest.fixture
def few_checks(monkeypatch):
    """Make two of the checks only, which tests that look at none of them do not wait for."""
    names = "coarser grid", "untrained network"
    checks = tuple(check for check in CHECKS if check.name in names)
    monkeypatch.setattr(suite, "CHECKS", checks)
    return checks


@pytest.fixture(scope="module")
def found(planted):
    generator, d = planted
    return rp.sanity(d, generator, FAST)


def test_what_should_stay_stays_and_what_should_go_goes(found):
    left = {one.name: one.survives for one in found.checks if not one.why_not}
    assert {one.name for one in found.checks} - set(left) == {"layer before", "layer behind"}
    assert all(0 <= value <= 1 for value in left.values())
    assert left["another seed"] > 0.8
    assert left["coarser grid"] > 0.8
    assert left["fields shuffled"] < 0.3
    assert left["untrained network"] < 0.3
    assert left["tail shuffled"] < 0.3
    assert found.margin > 0.5


def test_the_wrong_fields_show_in_the_scores(found):
    swapped = next(one for one in found.checks if one.name == "fields shuffled")
    assert swapped.scores["boundedness"] < found.reference["boundedness"] / 2
    assert swapped.scores["pooled_inside_error"] > 10 * found.reference["pooled_inside_error"]


def test_a_sentence_a_check(found):
    for one in found.checks:
        assert one.sentence.endswith(".")
        assert (one.why_not or f"{one.survives:.0%}") in one.sentence


def test_the_same_seed_gives_the_same_numbers(planted, found):
    generator, d = planted
    assert rp.sanity(d, generator, FAST) == found


def test_nothing_of_the_generators_is_changed(planted, found):
    generator, d = planted
    again = rp.load_generator("planted")
    assert again.digest == generator.digest
    assert torch.equal(generator.image(d.latents), again.image(d.latents))


def test_parts_lie_before_or_behind_the_cut():
    generator = rp.load_generator("faces")
    before, behind = parts_in_order(generator, generator.sample_latents(1))
    numbers = [int(name.split(".")[1]) for name in before + behind]
    assert numbers == sorted(numbers)
    assert all(int(name.split(".")[1]) <= 5 for name in before)
    assert all(int(name.split(".")[1]) > 5 for name in behind)


def test_shuffled_weights_keep_their_numbers():
    generator = rp.load_generator("faces")
    _, behind = parts_in_order(generator, generator.sample_latents(1))
    changed = shuffled(generator, behind[-1:], 0)
    own, other = (one.network.module.state_dict() for one in (generator, changed))
    for name, value in own.items():
        assert torch.equal(value.flatten().sort().values, other[name].flatten().sort().values)
        assert torch.equal(value, other[name]) != name.startswith(f"{behind[-1]}.")
    assert changed.digest != generator.digest


def test_bad_input_no_weights_to_shuffle():
    with pytest.raises(rp.InputError, match="no weights to shuffle"):
        shuffled(rp.load_generator("planted"), [], 0)


def test_regions_that_have_no_coarser_grid_say_so(planted, few_checks):
    generator, d = planted
    odd = rp.explain(generator, d.latents, rp.Regions.grid(3, 3), FAST)
    one = next(o for o in rp.sanity(odd, generator, FAST).checks if o.name == "coarser grid")
    assert one.survives is None
    assert "no grid of even numbers" in one.sentence


def test_bad_input_another_generator(planted):
    with pytest.raises(rp.GeneratorError):
        rp.sanity(planted[1], rp.load_generator("faces"))


def test_bad_seeds_are_told_before_anything_is_written(planted, found, tmp_path):
    generator, d = planted
    for seed in (2**70, 0.5):
        with pytest.raises(rp.InputError, match="a seed"):
            rp.sanity(d, generator, seed=seed)
    d.save(tmp_path / "run")
    found.write(tmp_path / "run")
    told = CliRunner().invoke(app, ["sanity", str(tmp_path / "run"), "--seed", str(2**70)])
    assert told.exit_code != 0
    assert Sanity.read(tmp_path / "run") == found


def test_components_of_other_kinds_are_not_checked(planted):
    generator, d = planted
    theirs = rp.components((d.action_fields[:1], d.component(0)), generator, d)
    with pytest.raises(rp.InputError, match="nothing about components of another method"):
        rp.sanity(theirs, generator)
    exact = rp.explain(generator, d.latents, d.regions, rp.Exact(patches=[0, 1], steps=2, starts=2))
    with pytest.raises(rp.InputError, match="nothing about components of the exact form"):
        rp.sanity(exact, generator)


def test_the_command_writes_and_tells(planted, few_checks, tmp_path):
    planted[1].save(tmp_path / "run")
    told = CliRunner().invoke(app, ["sanity", str(tmp_path / "run"), "--json"])
    assert told.exit_code == 0, told.output
    kept = json.loads((tmp_path / "run" / "sanity.json").read_text())
    assert json.loads(told.stdout) == {"run": str(tmp_path / "run"), **kept}
    table = CliRunner().invoke(app, ["sanity", str(tmp_path / "run"), "--seed", "1"])
    assert "untrained network" in table.stdout
    assert "mean less mean" in table.stdout


def test_checks_stay_when_the_run_is_measured_anew(planted, found, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "write_report", lambda folder: (folder / "report.html").touch())
    generator, d = planted
    d.save(tmp_path / "run")
    found.write(tmp_path / "run")
    few = rp.Evaluation(demands=4, components=2, contexts=2, free_demands=0)
    rp.report(d, generator, tmp_path / "run", few)
    assert Sanity.read(tmp_path / "run") == found
    told = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), "--set", "demands=5"])
    assert told.exit_code == 0, told.output
    assert Sanity.read(tmp_path / "run") == found
    rp.report(d, generator, tmp_path / "run", few, overwrite=True)
    assert Sanity.read(tmp_path / "run") is None


def test_thorough_explanations_are_checked_once(few_checks, tmp_path, monkeypatch):
    def drawn(folder):  # the page before the checks is replaced with theirs
        (folder / "report.html").touch()
        if (folder / "sanity.json").is_file():
            write_report(folder)

    monkeypatch.setattr(runs, "write_report", drawn)
    run = str(tmp_path / "run")
    command = ["explain", "planted", "--quality", "fast", "--thorough", "--out", run]
    command += ["--set", "steps=20", "--set", "baseline_count=16", "--grid", "4x4"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    found = Sanity.read(run)
    assert len(found.checks) == len(few_checks)
    assert f"what goes {found.margin:.2f}" in " ".join(told.stdout.split())
    assert "stability" in told.stdout
    assert 'id="sanity"' in (tmp_path / "run" / "report.html").read_text()
    modified = (tmp_path / "run" / "sanity.json").stat().st_mtime_ns
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "run" / "sanity.json").stat().st_mtime_ns == modified


def test_another_layer_is_the_next_of_its_kind():
    generator = rp.load_generator("faces")
    latents = generator.sample_latents(1)
    assert neighbour(generator, latents, -1).layer == "main.2"
    later = neighbour(generator, latents, 1)
    assert later.layer == "main.8"
    assert torch.equal(later.image(latents), generator.image(latents))
    with pytest.raises(rp.InputError, match="no layer of its kind lies behind"):
        neighbour(rp.load_generator("faces", "main.11"), latents, 1)


def test_strengths_of_another_layer_count_by_their_shares(planted):
    d = planted[1]
    twice = replace(d, values=2 * d.values, strengths=2 * d.strengths)
    assert field_stability(d, twice) == pytest.approx(0.5)
    elsewhere = replace(twice, provenance=replace(d.provenance, layer="embed"))
    assert field_stability(d, elsewhere) == pytest.approx(1)


def test_another_layer_of_a_sampler_is_its_next_call():
    generator = rp.load_generator("diffusion-faces", "unet.mid_block#3")
    assert neighbour(generator, generator.sample_latents(1), 1).layer == "unet.mid_block#4"
    with pytest.raises(rp.InputError, match="several layers"):
        neighbour(rp.load_generator("diffusion-faces"), generator.sample_latents(1), 1)


def test_the_report_tells_them(planted, found, tmp_path):
    generator, d = planted
    rp.report(d, generator, tmp_path / "run", rp.Evaluation(demands=4, components=2, contexts=2))
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="sanity"' not in page
    found.write(tmp_path / "run")
    assert Sanity.read(tmp_path / "run") == found
    write_report(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(one.sentence in html.unescape(page) for one in found.checks)
    (tmp_path / "run" / "sanity.json").write_text("{}")
    with pytest.raises(rp.StorageError):
        write_report(tmp_path / "run")
