import collections
import copy
import json
import pickle
import warnings
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import regional_primitives as rp
from regional_primitives.generators.latents import same_latents
from regional_primitives.runtime.run_files import MANIFEST, TENSORS
from regional_primitives.runtime.storage import file_digest


def assert_same(one, other):
    for name in ("feature", "baseline", "action_fields", "strengths", "offsets", "units", "values"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.provenance == other.provenance
    assert one.regions.to_dict() == other.regions.to_dict()


def test_strengths_are_the_norms_of_components_in_descending_order(planted_result):
    norms = [float(planted_result.component(k).norm()) for k in range(planted_result.count)]
    assert norms == pytest.approx(planted_result.strengths.tolist(), rel=1e-5)
    assert norms == sorted(norms, reverse=True)
    assert planted_result.action_fields.any(1).all()


def test_minimal_feature_is_the_sum_over_fields_that_meet_the_demand(planted_result):
    demands = torch.rand(7, 16, generator=torch.Generator().manual_seed(0)) < 0.3
    together = planted_result.minimal_feature(demands)
    for demand, found in zip(demands, together, strict=True):
        expected = planted_result.baseline[0].clone()
        for k in range(planted_result.count):
            if (planted_result.action_fields[k] & demand).any():
                expected += planted_result.component(k)[0]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_demand_may_be_named_in_three_ways(planted_result):
    row = torch.zeros(16, dtype=torch.bool)
    row[[2, 5]] = True
    expected = planted_result.minimal_feature(row)
    assert expected.shape == planted_result.feature.shape
    assert torch.equal(planted_result.minimal_feature(row[None]), expected)
    assert torch.equal(planted_result.minimal_feature([2, 5]), expected)
    assert torch.equal(planted_result.minimal_feature(torch.tensor([2, 5])), expected)
    assert torch.equal(planted_result.minimal_feature(3), planted_result.minimal_feature([3]))


def test_nothing_demanded_is_the_baseline(planted_result):
    assert torch.equal(planted_result.minimal_feature([]), planted_result.baseline)


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (torch.zeros(9, dtype=torch.bool), r"bool \[16\] or \[batch, 16\]"),
        (torch.zeros(2, 2, 16, dtype=torch.bool), r"got bool \[2, 2, 16\]"),
        ([16], "patch 16 does not exist; patches run 0 … 15"),
        ([-1], "patch -1 does not exist"),
        ([0.5], "a patch must be a whole number"),
    ],
)
def test_bad_input_demands(planted_result, demand, message):
    with pytest.raises(rp.InputError, match=message):
        planted_result.minimal_feature(demand)


@pytest.mark.parametrize("k", [-1, 10**6, True, "0"])
def test_bad_input_components(planted_result, k):
    with pytest.raises(rp.InputError, match=r"does not exist|a whole number"):
        planted_result.component(k)


def test_bad_input_scales(planted_result):
    with pytest.raises(rp.InputError, match="must be a finite number, not nan"):
        planted_result.scales({0: float("nan")})
    with pytest.raises(rp.InputError, match=r"scales are \[batch"):
        planted_result.combine(torch.ones(1, 3))


def test_components_are_stored_sparsely(planted, quick, planted_result):
    assert len(planted_result.values) == int(planted_result.offsets[-1])
    assert bool((planted_result.values != 0).all())
    # Units that take back have a share in more fields, and few steps leave units undecided.
    settings = replace(quick, give_back=0.0, steps=rp.Structured().steps)
    result = rp.explain(planted, planted.sample_latents(1, 3), rp.Regions.grid(4, 4), settings)
    assert len(result.values) < result.count * result.feature.numel() / 2


def test_save_and_load_round_trip(planted_result, tmp_path):
    planted_result.save(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [MANIFEST, TENSORS]
    assert_same(rp.Decomposition.load(tmp_path / "run"), planted_result)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("latents", [(torch.ones(1, 2), torch.zeros(1, 3)), {"z": torch.ones(1)}])
def test_latents_of_several_parts_round_trip(planted_result, tmp_path, latents):
    replace(planted_result, latents=latents).save(tmp_path / "run")
    found = rp.Decomposition.load(tmp_path / "run").latents
    assert type(found) is type(latents)
    pairs = (
        zip(found, latents, strict=True)
        if isinstance(latents, tuple)
        else [(found["z"], latents["z"])]
    )
    assert all(torch.equal(a, b) for a, b in pairs)


class Drawn(torch.Tensor):
    """A tensor of a class of its own."""


Pair = collections.namedtuple("Pair", "noise label")


class Output(collections.OrderedDict):
    """As ModelOutput is one."""


@pytest.mark.parametrize("schema", ["now", "before"])
@pytest.mark.parametrize(
    ("latents", "kind"),
    [
        (torch.ones(1, 3).as_subclass(Drawn), torch.Tensor),
        (torch.nn.Parameter(torch.ones(1, 3)), torch.Tensor),
        (Pair(torch.ones(1, 2), torch.zeros(1)), tuple),
        (Output(noise=torch.ones(1, 2), label=torch.zeros(1)), dict),
    ],
    ids=["subclass", "parameter", "named tuple", "output"],
)
def test_latents_of_a_class_of_their_own_come_back_in_kind(
    planted_result, tmp_path, latents, kind, schema
):
    folder = saved(replace(planted_result, latents=latents), tmp_path / "run")
    if schema == "before":  # earlier releases wrote down the name of the class
        edit_manifest(folder, latents=type(latents).__name__)
    found = rp.Decomposition.load(folder).latents
    assert isinstance(found, kind)
    assert same_latents(found, latents)


def test_a_label_map_round_trips(planted_result, tmp_path):
    regions = rp.Regions.from_labels(rp.Regions.grid(4, 4).label_map(32, 32))
    replace(planted_result, regions=regions).save(tmp_path / "run")
    found = rp.Decomposition.load(tmp_path / "run").regions
    assert torch.equal(found.labels, regions.labels)


def test_a_run_is_not_overwritten_unasked(planted_result, tmp_path):
    planted_result.save(tmp_path / "run")
    with pytest.raises(rp.StorageError, match="holds a run already"):
        planted_result.save(tmp_path / "run")
    planted_result.save(tmp_path / "run", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(rp.StorageError, match="is not a run folder"):
        planted_result.save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def saved(result, folder):
    result.save(folder)
    return folder


def edit_manifest(folder, **changes):
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest.update(changes)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_bad_input_an_unknown_schema_version_is_refused(planted_result, tmp_path):
    folder = saved(planted_result, tmp_path / "run")
    edit_manifest(folder, schema_version=99)
    with pytest.raises(rp.StorageError, match="schema version 99; this release reads 1"):
        rp.Decomposition.load(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("components", 3), ("components", True), ("feature_shape", [1]), ("feature_shape", [[60]]),
        ("feature_shape", "60"), ("layer", ""), ("generator", ""),
    ],
)  # fmt: skip
def test_bad_input_what_is_told_to_readers_of_the_manifest_is_checked(
    planted_result, tmp_path, name, value
):
    folder = saved(planted_result, tmp_path / "run")
    edit_manifest(folder, **{name: value})
    with pytest.raises(rp.StorageError, match="is corrupt"):
        rp.Decomposition.load(folder)


def test_bad_input_a_flipped_byte_is_noticed(planted_result, tmp_path):
    folder = saved(planted_result, tmp_path / "run")
    content = bytearray((folder / TENSORS).read_bytes())
    content[-7] ^= 1
    (folder / TENSORS).write_bytes(bytes(content))
    with pytest.raises(rp.StorageError, match="is corrupt: its SHA-256 digest"):
        rp.Decomposition.load(folder)


def rewrite_tensors(folder, change):
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS)
    edit_manifest(folder, tensors_digest=file_digest(folder / TENSORS))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("values"),
        lambda tensors: tensors.update(strengths=tensors["strengths"][:-1].clone()),
        lambda tensors: tensors.update(units=tensors["units"] + 1000),
        lambda tensors: tensors.update(offsets=tensors["offsets"].flip(0).clone()),
        lambda tensors: tensors.update(action_fields=tensors["action_fields"].float()),
    ],
    ids=["missing tensor", "count differs", "unit out of range", "offsets fall", "wrong type"],
)
def test_bad_input_tensors_that_do_not_belong_together(planted_result, tmp_path, change):
    folder = saved(planted_result, tmp_path / "run")
    rewrite_tensors(folder, change)
    with pytest.raises(rp.StorageError, match="is corrupt"):
        rp.Decomposition.load(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("image", lambda t: t.index_fill(2, torch.tensor(0), float("nan")), "image holds NaN"),
        ("image", lambda t: t.index_fill(2, torch.tensor(0), 3e38), "image holds NaN, infinity or"),
        ("image", lambda t: t.flatten(), "its picture has the shape"),
        ("baseline_image", lambda t: t[:, 1:].contiguous(), "do not belong together"),
        ("feature", lambda t: t / 0, "feature or baseline holds NaN"),
        ("baseline", lambda t: t.long(), "feature or baseline holds"),
        ("baseline", lambda t: t.repeat(2, 1), "feature and baseline do not belong together"),
        ("values", lambda t: t / 0, "values holds NaN"),
        ("values", lambda t: t * 2, "strengths are not those of its components"),
        ("strengths", lambda t: t.flip(0), "strengths are not those of its components"),
        ("strengths", lambda t: t.double(), "strengths is torch.float64"),
        ("units", lambda t: torch.zeros_like(t), "changes a unit twice"),
        ("action_fields", lambda t: torch.zeros_like(t), "a component acts on no patch"),
        ("history", lambda t: t[:, :2].contiguous(), "history is torch.float32"),
        ("latents.latents", lambda t: t * float("nan"), "latents are not those of one picture"),
        ("latents.latents", lambda t: t.repeat(2, 1), "latents are not those of one picture"),
    ],
)
def test_bad_input_tensors_that_no_fit_makes(planted_result, tmp_path, name, change, message):
    folder = saved(planted_result, tmp_path / "run")
    rewrite_tensors(folder, lambda tensors: tensors.update({name: change(tensors[name])}))
    with pytest.raises(rp.StorageError, match=f"is corrupt: .*{message}"):
        rp.Decomposition.load(folder)


def test_bad_input_a_byte_that_is_no_truth_value(planted_result, tmp_path):
    folder = saved(planted_result, tmp_path / "run")
    content = (folder / TENSORS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    begin, _ = json.loads(content[8 : 8 + length])["action_fields"]["data_offsets"]
    at = 8 + length + begin
    spoiled = content[:at] + b"\x07" + content[at + 1 :]
    (folder / TENSORS).write_bytes(spoiled)
    edit_manifest(folder, tensors_digest=file_digest(folder / TENSORS))
    with pytest.raises(rp.StorageError, match="action_fields holds bytes that are no truth values"):
        rp.Decomposition.load(folder)


@pytest.mark.parametrize("other", [b"", b"short", "other run"])
def test_what_was_loaded_does_not_hang_on_the_file(planted_result, tmp_path, other):
    folder = saved(planted_result, tmp_path / "run")
    found = rp.Decomposition.load(folder)
    size = (folder / TENSORS).stat().st_size
    with (folder / TENSORS).open("r+b") as file:  # in place, as cp and rsync --inplace write
        if other == "other run":
            file.write(b"\x3f" * size)
        else:
            file.truncate(len(other))
    assert_same(found, planted_result)
    assert torch.equal(found.image, planted_result.image)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tensors_digest", None, "Expected `str`, got `null`"),
        ("tensors_digest", "ABC", "Expected `str` matching regex"),
        ("image_range", [1, -1], r"\(black, white\) with black < white"),
        ("image_range", [0, 1e308], r"\(black, white\) with black < white"),
        ("image_range", [0, 1e-300], r"\(black, white\) with black < white"),
        ("image_range", [0], "length 2"),
        ("image_range", None, "Expected `array`, got `null`"),
        ("settings", None, "Expected `object`"),
        ("settings", {"steps": "many"}, "steps must be a whole number"),
        ("settings", {"outside_weight": -1}, "outside_weight must be a number of at least 0"),
        ("method", "magic", "method is structured or exact"),
        ("options", None, "Expected `object`"),
        ("generator", 5, "Expected `str`"),
        ("weights_digest", None, "Expected `str`"),
        ("versions", {"torch": 2}, "Expected `str`"),
        ("wall_seconds", -1.0, "Expected `float` >= 0"),
        ("evaluations", True, "Expected `int`, got `bool`"),
        ("converged", 1, "Expected `bool`"),
        ("latents", 3, "Expected `str`"),
        (
            "regions",
            {"kind": "grid", "rows": 10**9, "columns": 10**9},
            "more than 1,048,576 patches",
        ),
        ("regions", {"kind": "hexagons"}, "Invalid value"),
        ("regions", None, "Expected `object`"),
        ("evaluation_seconds", "long", "Expected `float"),
        ("schema_version", True, "schema version True"),
    ],
)
def test_bad_input_what_a_manifest_cannot_tell(planted_result, tmp_path, name, value, message):
    folder = saved(planted_result, tmp_path / "run")
    edit_manifest(folder, **{name: value})
    with pytest.raises(rp.StorageError, match=message) as error:
        rp.Decomposition.load(folder)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_bad_input_a_manifest_has_no_number_that_is_none(planted_result, tmp_path, number):
    folder = saved(planted_result, tmp_path / "run")
    text = (folder / MANIFEST).read_text()
    assert "-1.0,\n    1.0" in text
    (folder / MANIFEST).write_text(text.replace("-1.0,\n    1.0", f"-1.0,\n    {number}"))
    with pytest.raises(rp.StorageError, match="is not valid JSON"):
        rp.Decomposition.load(folder)


def test_settings_of_an_earlier_release_are_left_as_they_are(planted_result, tmp_path):
    folder = saved(planted_result, tmp_path / "run")
    settings = {**planted_result.provenance.settings, "annealing": 0.5}
    del settings["give_back"]
    edit_manifest(folder, settings=settings)
    assert rp.Decomposition.load(folder).provenance.settings == settings


def test_bad_input_missing_files(planted_result, tmp_path):
    with pytest.raises(rp.StorageError, match=r"is not a run folder: it has no run\.json"):
        rp.Decomposition.load(tmp_path)
    folder = saved(planted_result, tmp_path / "run")
    (folder / TENSORS).unlink()
    with pytest.raises(rp.StorageError, match="is missing"):
        rp.Decomposition.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}'])
def test_bad_input_a_broken_manifest(planted_result, tmp_path, text):
    folder = saved(planted_result, tmp_path / "run")
    (folder / MANIFEST).write_text(text)
    with pytest.raises(rp.StorageError):
        rp.Decomposition.load(folder)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d)), replace],
    ids=["copy", "deepcopy", "pickle", "replace"],
)
def test_a_decomposition_that_was_used_can_be_copied(planted_result, copied):
    expected = planted_result.minimal_feature([2, 5])
    again = copied(planted_result)
    assert_same(again, planted_result)
    assert torch.equal(again.minimal_feature([2, 5]), expected)
    assert torch.equal(planted_result.minimal_feature([2, 5]), expected)


def test_using_a_decomposition_warns_of_nothing(planted_result):
    with warnings.catch_warnings(), torch_warns_always():
        warnings.simplefilter("error")
        replace(planted_result).minimal_feature([2, 5])


@contextmanager
def torch_warns_always():
    torch.set_warn_always(True)
    try:
        yield
    finally:
        torch.set_warn_always(False)
