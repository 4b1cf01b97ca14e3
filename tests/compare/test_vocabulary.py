"""What recurs over pictures, on made-up ones whose answer is known, and on planted components."""

import json
import math
import weakref
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_part_units import slow_leading

import regional_primitives as rp
from planted_truth import exactly
from regional_primitives.compare import vocabulary
from regional_primitives.compare.kept import Kept, converged
from regional_primitives.compare.vocabulary import Vocabulary, write_vocabulary
from regional_primitives.runtime.storage import read_json, write_json
from regional_primitives.scores.effort import unfinished
from regional_primitives.scores.random_fields import random_connected
from regional_primitives.scores.sweep_scores import LayerScores, PictureScores, SweepScores

GRID = rp.Regions.grid(4, 4)
BLOCK = (0, 1, 2, 4, 5, 6, 8, 9, 10)
EVERYTHING = tuple(range(16))
NEARLY = (0, 1, 2, 4, 5, 6, 8, 9)  # intersection over union 8 / 9


STRENGTHS = (2.0, 1.5, 1.2, 1.1)


def made_up(fields, channels, strengths=None):
    rows = torch.zeros(len(fields), 16, dtype=torch.bool)
    for row, patches in zip(rows, fields, strict=True):
        row[list(patches)] = True
    strengths = torch.tensor(strengths or STRENGTHS[: len(rows)])
    return Kept(
        rows, strengths, torch.tensor(channels, dtype=torch.int32),
        torch.zeros(8, 8, 3, dtype=torch.uint8), None, True,
    )  # fmt: skip


def others(seed, sizes=(2, 3)):
    rng = torch.Generator().manual_seed(seed)
    every = torch.ones(16, dtype=torch.bool)
    drawn = random_connected(torch.tensor(sizes), every, GRID, rng, rectangles=False)
    return [tuple(row.nonzero().flatten().tolist()) for row in drawn]


def a_sweep(count, layers=("one",)):
    return SweepScores(
        generator="planted", weights_digest="ab", options={}, regions=GRID.to_dict(), patches=16,
        seeds=tuple(range(count)), settings={}, evaluation={}, versions={}, machine={},
        date="2025-01-31",
        layers=tuple(
            LayerScores(name, (64,), 16, tuple(
                PictureScores(seed, f"{name}/{seed}", None, True, 1.0, rp.Scores())
                for seed in range(count)
            ))
            for name in layers
        ),
    )  # fmt: skip


def swept(folder, pictures, regions=GRID, layers=("one",)):
    """Write pictures as a sweep keeps them; return what recurs at each layer."""
    sweep = a_sweep(len(pictures), layers)
    for layer in sweep.layers:
        for picture, kept in zip(layer.pictures, pictures, strict=True):
            (folder / picture.run).mkdir(parents=True, exist_ok=True)
            kept.write(folder / picture.run)
    write_vocabulary(folder, sweep, regions)
    return Vocabulary.read(folder).layers


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr(vocabulary, "_LEAST_RANDOM", 60)


@pytest.fixture
def pictures():
    """Twenty: in eighteen a block or nearly one, the strongest, made by channel 7 in sixteen."""
    found = []
    for seed in range(20):
        block = BLOCK if seed % 2 else NEARLY
        first = block if seed < 18 else others(seed, (9,))[0]
        channels = [
            [7 if seed < 16 else 8, 3, -1],
            [seed % 5, 3, -1],
            [3, 30 + seed, -1],
            [5, 6, -1],
        ]
        found.append(made_up([first, *others(seed), EVERYTHING], channels))
    return found


def test_the_field_that_recurs_is_the_only_word_and_its_channel_is_found(tmp_path, pictures):
    (layer,) = swept(tmp_path, pictures)
    (word,) = layer.words
    assert word.patches in (BLOCK, NEARLY)
    assert (word.pictures, word.known, layer.pictures) == (18, 18, 20)
    assert layer.random_pictures == 60
    (channel,) = word.channels
    assert (channel.channel, channel.pictures) == (7, 16)
    # Slowly: it leads in one of four components of sixteen pictures; 3 leads in all of them.
    assert channel.by_chance == pytest.approx(16 / 4, rel=1e-5)
    share = 4 / (4 + 1.5**2 + 1.2**2 + 1.1**2)
    assert word.share == pytest.approx(share)
    assert layer.held == pytest.approx(share * 18 / 20)
    assert word.seed in range(18)


def test_by_chance_is_what_random_connected_fields_of_the_same_sizes_give(tmp_path):
    # One component of one patch out of sixteen that other fields cover: 1 / 16 of random ones.
    pictures = [made_up([EVERYTHING, (5,)], [[1], [2]], (1.0, 0.9)) for _ in range(64)]
    (layer,) = swept(tmp_path, pictures)
    words = {word.patches: word for word in layer.words}
    assert list(words) == [(5,)]  # the whole picture is found in as many random ones
    assert words[(5,)].pictures == 64
    assert words[(5,)].by_chance == pytest.approx(64 / 16, abs=4 * math.sqrt(64 / 16))


def test_fields_of_named_patches_are_the_same_or_not(tmp_path, pictures):
    named = GRID.named([f"part {i}" for i in range(16)])
    (layer,) = swept(tmp_path, pictures * 3, named)
    words = {word.patches: word.pictures for word in layer.words}
    assert (words[BLOCK], words[NEARLY]) == (27, 27)


def test_of_many_pictures_every_other_one_is_drawn(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(vocabulary, "_LEAST_RANDOM", 1)
    monkeypatch.setattr(vocabulary, "_MOST_RANDOM", 10)
    (layer,) = swept(tmp_path, pictures)
    assert layer.random_pictures == 10
    assert layer.words[0].pictures == 18


def test_random_fields_make_no_vocabulary(tmp_path):
    pictures = [made_up(others(seed, (1, 2, 3)), [[1], [2], [3]]) for seed in range(30)]
    (layer,) = swept(tmp_path, pictures)
    assert layer.words == ()
    assert layer.held == 0


def test_a_picture_counts_once_and_by_its_strongest_component(tmp_path):
    pictures = [
        made_up([NEARLY, BLOCK, (3, 7, 11, 12, 13, 14, 15)], [[4], [5], [6]]) for _ in range(12)
    ]  # fmt: skip
    (layer,) = swept(tmp_path, pictures)
    word = next(word for word in layer.words if word.patches in (BLOCK, NEARLY))
    assert word.pictures == 12
    assert [channel.channel for channel in word.channels] == [4]
    assert word.share == pytest.approx(4 / (4 + 1.5**2 + 1.2**2))


def test_planted_fields_are_the_words_of_the_planted_network(planted, tmp_path):
    settings = rp.Structured(steps=1, batch=2, probes=1, baseline_count=64)
    exact = [
        exactly(rp.explain(planted, planted.sample_latents(1, seed=seed), GRID, settings))
        for seed in range(10)
    ]
    (layer,) = swept(tmp_path, [Kept.of(d) for d in exact])
    fields = [tuple(row.nonzero().flatten().tolist()) for row in exact[0].action_fields]
    assert layer.words
    for word in layer.words:
        own = exact[0].component(fields.index(word.patches)).flatten().nonzero().flatten()
        assert {channel.channel for channel in word.channels} <= set(own.tolist())


def test_runs_are_read_one_after_another(tmp_path, pictures, monkeypatch):
    read, before = Kept.read, []

    def noted(folder):
        assert not [one for one in before if one() is not None], "more than one at a time"
        kept = read(folder)
        before.append(weakref.ref(kept))
        return kept

    swept(tmp_path, pictures)
    monkeypatch.setattr(vocabulary.Kept, "read", staticmethod(noted))
    layers = swept(tmp_path, pictures, layers=("one", "two"))
    assert len(before) == 40
    assert layers[0].words == layers[1].words


def test_fewer_pictures_have_no_vocabulary(tmp_path, pictures):
    swept(tmp_path, pictures)
    with pytest.raises(rp.StorageError, match=r"vocabulary\.json is missing"):
        swept(tmp_path, pictures[:7])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema version 2; this release reads 1"),
        ({"layers": [{}]}, r"vocabulary\.json is corrupt"),
        ({"surprise": 1}, r"vocabulary\.json is corrupt: it has names that are not known"),
    ],
)
def test_a_spoiled_vocabulary_gives_one_line(tmp_path, pictures, changes, message):
    swept(tmp_path, pictures)
    file = tmp_path / "vocabulary.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(rp.StorageError, match=message):
        Vocabulary.read(tmp_path)


def labelled(d):
    return replace(d, regions=rp.Regions.from_labels(GRID.label_map(*d.image.shape[-2:])))


@pytest.mark.parametrize("regions", ["grid", "labels"])
def test_the_same_is_kept_of_a_decomposition_a_run_and_scores_alone(result, tmp_path, regions):
    d = result if regions == "grid" else labelled(result)
    d.save(tmp_path / "run")
    one = Kept.of(d)
    (tmp_path / "light").mkdir()
    one.write(tmp_path / "light")
    for folder in ("run", "light"):
        for name, value in vars(Kept.read(tmp_path / folder)).items():
            own = getattr(one, name)
            same = value.equal(own) if isinstance(own, torch.Tensor) else value == own
            assert same, (folder, name)
    assert (one.labels is None) == (regions == "grid")


def test_channels_are_those_that_lead_in_the_strongest_components(result):
    kept = Kept.of(result)
    energy = result.strengths.double().square()
    acting = [k for k in range(result.count) if bool(result.action_fields[k].any())]
    total, carried, expected = float(energy[acting].sum()), 0.0, []
    for k in acting:
        if carried >= 0.9 * total:
            break
        carried += float(energy[k])
        expected.append(k)
    assert kept.strongest.tolist() == expected
    assert kept.shares.sum() == pytest.approx(carried / total)
    for k, row in zip(expected, kept.channels.tolist(), strict=True):
        own = result.component(k).flatten().double().square()
        leads = slow_leading((own / own.sum()).tolist())
        told = [channel for channel in row if channel >= 0]
        assert len(told) == min(len(leads), 16)
        assert set(told) <= leads
        assert min(own[told]) >= max([own[c] for c in leads - set(told)], default=0)


def test_a_large_picture_has_a_small_thumbnail(result):
    images = {"image": torch.full((3, 300, 200), 0.5), "baseline_image": torch.zeros(3, 300, 200)}
    kept = Kept.of(replace(result, **images))
    assert kept.thumbnail.shape == (64, 43, 3)
    assert kept.thumbnail.unique().numel() == 1


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("falling", [True, False])
def test_whether_a_run_has_converged_is_read_without_its_tensors(
    result, tmp_path, monkeypatch, settled, falling
):
    history = torch.tensor([[1.0, 0.5, 0.5]] * 6 + [[0.5, 0.5, 0.5]] * 2 + [[0.1, 0.1, 0.5]] * 2)
    d = replace(
        result,
        history=history if falling else history[:1].repeat(10, 1),
        provenance=replace(result.provenance, converged=settled),
    )
    d.save(tmp_path / "run")
    monkeypatch.setattr(rp.Decomposition, "load", lambda *_: pytest.fail("all of it was read"))
    assert converged(tmp_path / "run") == (not unfinished(d)) == (settled or not falling)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields": None}, r"fields\.safetensors is corrupt: it does not tell fields"),
        ({"converged": None}, r"fields\.safetensors is corrupt: it does not tell converged"),
        ({"strengths": torch.ones(1)}, r"fields\.safetensors is corrupt: "),
        ({"strengths": torch.full((3,), torch.nan)}, "its tensors do not belong together"),
        ({"channels": torch.zeros(1, 3, dtype=torch.int32)}, "do not belong together"),
        ({"channels": torch.zeros(3, 1)}, "do not belong together"),
        ({"thumbnail": torch.zeros(4, 4)}, "do not belong together"),
        ({"labels": torch.full((8, 8), 17, dtype=torch.uint8)}, "do not belong together"),
    ],
)
def test_bad_input_in_kept_files_gives_one_line(tmp_path, changes, message):
    made_up([BLOCK, (3,), (7, 11)], [[1], [2], [3]]).write(tmp_path)
    file = tmp_path / "fields.safetensors"
    tensors = {**load_file(file), **changes}
    save_file({name: own for name, own in tensors.items() if own is not None}, file)
    with pytest.raises(rp.StorageError, match=message):
        Kept.read(tmp_path)


def test_what_earlier_releases_kept_counts_without_channels(tmp_path, pictures):
    swept(tmp_path, pictures)
    for seed in range(20):
        file = tmp_path / "one" / str(seed) / "fields.safetensors"
        names = ("fields", "strengths", "converged")
        save_file({name: load_file(file)[name] for name in names}, file)
        assert Kept.read(file.parent).thumbnail is None
    write_vocabulary(tmp_path, a_sweep(20), GRID)
    (word,) = Vocabulary.read(tmp_path).layers[0].words
    assert (word.pictures, word.known, word.channels) == (18, 0, ())


def test_a_run_whose_tensors_are_gone_or_damaged_is_told(result, tmp_path):
    result.save(tmp_path / "run")
    file = tmp_path / "run" / "tensors.safetensors"
    content = read_json(tmp_path / "run" / "run.json")
    write_json(tmp_path / "run" / "run.json", {**content, "converged": False})
    file.write_bytes(file.read_bytes()[:200])
    for read in (Kept.read, converged):
        with pytest.raises(rp.StorageError, match=r"tensors\.safetensors is corrupt"):
            read(tmp_path / "run")
    file.unlink()
    for read in (Kept.read, converged):
        with pytest.raises(rp.StorageError, match=r"tensors\.safetensors is missing"):
            read(tmp_path / "run")
