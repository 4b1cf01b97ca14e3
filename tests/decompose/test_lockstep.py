"""Many pictures in lockstep give what each gives alone, to rounding."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import regional_primitives as rp
from regional_primitives.decompose.structured import fit
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import items
from regional_primitives.generators.recorded import MixedTail

GRID = rp.Regions.grid(3, 3)
QUICK = rp.Structured(steps=12, batch=4, probes=1, baseline_count=16)
ISOLATING = rp.Structured(purpose="isolate", steps=12, batch=4, probes=1, baseline_count=16)


class Painter(nn.Module):
    """From a latent [batch, 8] to a picture 12 × 12; `behind(self, h, z)` follows `early`."""

    def __init__(self, behind, channels=6):
        super().__init__()
        torch.manual_seed(0)
        self.early = nn.Sequential(nn.Linear(8, channels * 9), nn.Unflatten(1, (channels, 3, 3)))
        self.late = nn.Sequential(nn.ConvTranspose2d(channels, 4, 4, 4), nn.SiLU())
        self.skip, self.norm = nn.Linear(8, 4), nn.GroupNorm(2, 4)
        self.attend = nn.TransformerEncoderLayer(channels, 2, 8, dropout=0.0, batch_first=True)
        self.paint = nn.Conv2d(4, 3, 3, padding=1)
        self.behind = behind

    def forward(self, z):
        return torch.tanh(self.paint(self.behind(self, self.early(z), z)))


def plain(net, h, z):
    return net.late(h)


def skipping(net, h, z):
    """A side input of each picture's own."""
    return net.late(h) * net.skip(z)[:, :, None, None]


def doubled(net, h, z):
    """Two entries an item, innermost and behind the cut, as guided samplers have them."""
    twice = torch.cat([z, -z])
    both = net.late(torch.cat([h, h])) + net.skip(twice)[:, :, None, None].tanh()
    one, other = both.chunk(2)
    return 0.7 * one + 0.3 * other


def normed(net, h, z):
    return net.norm(net.late(h) * net.skip(z)[:, :, None, None])


def tokens(net, h, z):
    attended = net.attend(h.flatten(2).mT + net.skip(z).repeat(1, 2)[:, None, : h.shape[1]])
    return net.late(attended.mT.unflatten(2, (3, 3)))


def one_for_all(net, h, z):
    """What flows past the cut has no batch axis, and is another for another picture."""
    return net.late(h) * net.skip(z.mean(0))[:, None, None]


def mixing(net, h, z):
    return net.late(h - h.mean(0, keepdim=True) / 2)


def deciding(net, h, z):
    """Python reads the feature."""
    return net.late(h) * (1.0 if h.sum() > 0 else 0.5)


def sample(count, rng):
    return torch.randn(count, 8, generator=rng)


def painter(behind, layer="early", **options):
    return rp.cut(Painter(behind), layer, sample_latents=sample, **options)


def both_ways(generator, count=3, regions=GRID, settings=QUICK, seed=3, **options):
    latents = generator.sample_latents(count, seed)
    many = rp.explain(generator, latents, regions, settings, together=True, **options)
    alone = [
        rp.explain(generator, items(latents, i, i + 1), regions, settings) for i in range(count)
    ]
    return many, alone


def assert_alike(many, alone, rtol=1e-3):
    """Rounding grows in a fit: a thousandth is far below what another draw would change."""
    assert len(many) == len(alone)
    for one, other in zip(many, alone, strict=True):
        assert one.provenance.evaluations == other.provenance.evaluations
        assert one.provenance.converged == other.provenance.converged
        torch.testing.assert_close(one.history, other.history, rtol=rtol, atol=1e-4)
        assert torch.equal(one.image, other.image)
        n = one.regions.count
        demands = [torch.arange(n) == i for i in range(n)] + [torch.arange(n) % 2 == 0]
        for demand in demands:
            u, v = (whole(d.minimal_feature(demand)) for d in (one, other))
            assert float((u - v).norm()) <= rtol * float(v.norm())


def whole(feature):
    tensors = feature if isinstance(feature, tuple) else (feature,)
    return torch.cat([tensor.flatten() for tensor in tensors])


@pytest.fixture
def told():
    """Collect what is told of lockstep."""
    notes = []

    def progress(stage, done, total, note=""):
        if stage == "lockstep":
            notes.append(note)

    return notes, progress


@pytest.mark.parametrize("settings", [QUICK, ISOLATING, replace(QUICK, trials=0)])
@pytest.mark.parametrize("behind", [plain, skipping, doubled, tokens])
def test_many_give_what_each_gives_alone(behind, settings, told):
    notes, progress = told
    many, alone = both_ways(painter(behind), settings=settings, progress=progress)
    assert notes == []
    assert_alike(many, alone)
    assert not torch.equal(many[0].values, many[1].values)


def test_features_of_other_shapes_and_held_statistics(planted, told):
    notes, progress = told
    vector = both_ways(planted, regions=rp.Regions.grid(4, 4), progress=progress)
    bundle = both_ways(painter(skipping, ["early", "skip"]), progress=progress)
    held = both_ways(painter(normed, hold="normalisation"), progress=progress)
    sequence = both_ways(painter(tokens, "attend.norm1"), progress=progress)
    assert notes == []
    for many, alone in (vector, bundle, held, sequence):
        assert_alike(many, alone)


def test_regions_of_other_numbers_of_patches(told):
    notes, progress = told
    many, alone = both_ways(painter(skipping), regions="segments:7", progress=progress)
    assert notes == []
    assert len({d.regions.count for d in many}) > 1, "or this tests nothing"
    assert_alike(many, alone)
    labels = torch.arange(144).view(12, 12) // 30
    labels[:2, :2] = -1  # no patch
    many, alone = both_ways(painter(plain), regions=rp.Regions.from_labels(labels))
    assert_alike(many, alone)


def test_a_picture_that_has_converged_leaves(monkeypatch):
    settings = replace(ISOLATING, steps=120, batch=8, tolerance=0.201)
    sizes = []
    step = fit._step
    monkeypatch.setattr(fit, "_step", lambda *args: sizes.append(len(args[0])) or step(*args))
    generator = painter(skipping)
    latents = generator.sample_latents(4, 3)
    many = rp.explain(generator, latents, GRID, settings, together=True)
    assert sizes == 40 * [4] + 80 * [2], "two leave before the end, or this tests nothing"
    assert [len(d.history) for d in many] == [120, 120, 40, 40]
    assert [d.provenance.converged for d in many] == [False, False, True, True]
    alone = [rp.explain(generator, latents[i : i + 1], GRID, settings) for i in range(4)]
    assert_alike(many, alone, rtol=1e-2)


@pytest.mark.parametrize("chunk", [3, 9, 20])
def test_a_small_memory_budget_changes_no_more_than_rounding(chunk, monkeypatch):
    monkeypatch.setattr(Generator, "chunk", property(lambda self: chunk))
    rows = []
    tail = fit.Evaluations.pulled_back

    def counted(self, units, *rest):
        rows.append(len(units))
        return tail(self, units, *rest)

    monkeypatch.setattr(fit.Evaluations, "pulled_back", counted)
    many, alone = both_ways(painter(skipping))
    assert_alike(many, alone)
    assert max(rows) <= chunk


@pytest.mark.parametrize(
    ("behind", "why"),
    [
        (one_for_all, "has no batch axis"),
        (mixing, "depends on its batch"),
        (deciding, "the whole network runs"),
    ],
)
@pytest.mark.filterwarnings("ignore::regional_primitives.errors.WholeRunWarning")
def test_where_rows_cannot_be_mixed_pictures_are_fitted_one_after_another(behind, why, told):
    notes, progress = told
    settings = replace(QUICK, steps=3, trials=1)
    many, alone = both_ways(painter(behind), 2, settings=settings, progress=progress)
    assert len(notes) == 1
    assert "one after another" in notes[0]
    assert why in notes[0]
    for one, other in zip(many, alone, strict=True):
        assert torch.equal(one.values, other.values)


def test_rows_that_give_other_images_than_alone_are_not_mixed(told, monkeypatch):
    """As it would be of a program that gave a row another picture's side inputs."""
    notes, progress = told
    right = MixedTail.for_rows
    monkeypatch.setattr(MixedTail, "for_rows", lambda self, rows: right(self, rows.flip(0)))
    many, alone = both_ways(painter(skipping), 2, progress=progress)
    assert "other images than alone" in notes[0]
    assert_alike(many, alone)


class Counted(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [QUICK, ISOLATING])
def test_a_step_takes_as_many_operations_for_many_as_for_one(settings, monkeypatch):
    step, counts = fit._step, {}

    def counted(*args):
        with Counted() as mode:
            figures = step(*args)
        counts[len(args[0])] = mode.count
        return figures

    monkeypatch.setattr(fit, "_step", counted)
    generator = painter(skipping)
    for count in (1, 2, 8):
        latents = generator.sample_latents(count, 3)
        rp.explain(generator, latents, GRID, replace(settings, steps=1), together=True)
    # Besides, one picture needs no look-up of whose a row is, and more may have one group of sites
    # more.
    assert counts[8] < 1.1 * counts[2]
    assert counts[8] < 1.3 * counts[1]


def test_one_bad_picture_does_not_lose_the_others():
    generator = painter(skipping)
    latents = generator.sample_latents(3, 3)
    good = rp.explain(generator, latents, GRID, QUICK, together=True)
    latents[1] = 1e38  # finite, but its picture is not
    with pytest.raises(rp.SomeFailedError, match=r"1 of 3 pictures .* number 1: .*finite") as error:
        rp.explain(generator, latents, GRID, QUICK, together=True)
    assert list(error.value.failed) == [1]
    assert isinstance(error.value.failed[1], rp.GeneratorError)
    assert_alike(list(error.value.explained.values()), [good[0], good[2]])
    with pytest.raises(rp.GeneratorError) as error:
        rp.explain(generator, latents[1:2], GRID, QUICK, together=True)
    assert not isinstance(error.value, rp.SomeFailedError)


def test_a_picture_whose_fit_diverges_leaves_the_others_alone(monkeypatch):
    generator = painter(skipping)
    latents = generator.sample_latents(3, 3)
    good = rp.explain(generator, latents, GRID, QUICK, together=True)
    step, calls = fit._step, []

    def diverging(subjects, evaluations, model, *rest):
        figures = step(subjects, evaluations, model, *rest)
        calls.append(len(subjects))
        if len(calls) == 5:
            for part, unknown in zip(model._all, model.unknowns, strict=True):
                unknown.grad[:, part.picture == 1] = torch.nan
        return figures

    monkeypatch.setattr(fit, "_step", diverging)
    with pytest.raises(rp.SomeFailedError, match=r"number 1: the fit diverged: .* step 6") as error:
        rp.explain(generator, latents, GRID, QUICK, together=True)
    assert calls == 10 * [3] + 2 * [2]
    assert_alike(list(error.value.explained.values()), [good[0], good[2]])


def test_results_are_ordinary(planted, tmp_path):
    latents, regions = planted.sample_latents(2, 3), rp.Regions.grid(4, 4)
    many = rp.explain(planted, latents, regions, QUICK, together=True, picture_seed=(3, 4))
    assert [d.provenance.picture_seed for d in many] == [3, 4]
    for d in many:
        d.save(tmp_path / str(d.provenance.picture_seed))
        loaded = rp.Decomposition.load(tmp_path / str(d.provenance.picture_seed))
        assert torch.equal(loaded.values, d.values)
        measured = rp.Evaluation(demands=4, components=2, contexts=2, free_demands=0)
        assert rp.evaluate(loaded, planted, measured).completeness_gap < 1e-5
        assert 0 < d.provenance.tail_seconds < d.provenance.wall_seconds


def test_together_is_a_list_also_of_one_and_in_the_exact_form(planted):
    latents, regions = planted.sample_latents(2, 3), rp.Regions.grid(4, 4)
    (one,) = rp.explain(planted, latents[:1], regions, QUICK, together=True)
    assert torch.equal(one.values, rp.explain(planted, latents[:1], regions, QUICK).values)
    exact = rp.Exact(
        patches=(5, 6), steps=5, starts=1, sparse_steps=5, joint_steps=2, baseline_count=16
    )
    many = rp.explain(planted, latents, regions, exact, together=True)
    other = rp.explain(planted, latents[1:], regions, exact)
    assert torch.equal(many[1].values, other.values)


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (2, {}, "one picture at a time; got 2 latents; together=True explains them all"),
        (0, {"together": True}, "a batch of none"),
        (2, {"together": 1}, "together is True or False, not int"),
        (2, {"together": True, "picture_seed": 3}, "a list of 2, .* got a single one"),
        (2, {"together": True, "picture_seed": [3]}, "a list of 2, .* got 1"),
        (2, {"together": True, "picture_file": "a.png"}, "picture_file is a list of 2"),
        (2, {"together": True, "picture_seed": [3, "a"]}, "seed"),
    ],
)
def test_bad_input_is_told_in_a_line(planted, count, options, message):
    latents = planted.sample_latents(2, 3)[:count]
    with pytest.raises(rp.InputError, match=message):
        rp.explain(planted, latents, rp.Regions.grid(4, 4), QUICK, **options)
