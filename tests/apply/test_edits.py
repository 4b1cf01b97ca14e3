import dataclasses
import hashlib
import json

import pytest
import torch

import regional_primitives as rp
from regional_primitives.show.pixels import write_picture


def test_removing_keeping_and_scaling_say_what_they_do(planted, result):
    assert torch.equal(
        rp.edit(result, planted, rp.Edit.remove([0, 2])),
        rp.edit(result, planted, {0: 0.0, 2: 0.0}),
    )
    alone = rp.edit(result, planted, rp.Edit.keep_only([1]))
    expected = planted.tail(result.baseline + result.component(1))
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-5)
    halves = rp.edit(result, planted, rp.Edit({0: 2.0}, others=0.5))
    feature = (result.baseline + result.feature) / 2 + 1.5 * result.component(0)
    torch.testing.assert_close(halves, planted.tail(feature), rtol=1e-4, atol=1e-5)


def test_changed_components_are_those_not_left_alone(result):
    assert (rp.Edit({3: 0.5, 4: 1.0}).row(result)[0] != 1).nonzero().flatten().tolist() == [3]
    kept = rp.Edit.keep_only([3, 4]).row(result)[0] != 0
    assert kept.nonzero().flatten().tolist() == [3, 4]


def test_a_file_holds_the_edit_and_makes_the_same_picture(planted, result, tmp_path):
    edit = rp.Edit({0: 0.0, 2: 1.25}, others=0.75)
    picture = rp.edit(result, planted, edit)
    edit.recorded(result, picture).write(tmp_path / "edit.json")
    back = rp.Edit.read(tmp_path / "edit.json")
    assert (back.scales, back.others) == (edit.scales, edit.others)
    assert back.made(result, rp.edit(result, planted, back)) is True
    # One pixel by one level is another picture.
    other = picture.clone()
    other[0, 0, 0, 0] += 2 / 255
    assert back.made(result, other) is False
    assert edit.made(result, picture) is None


def test_the_digest_is_that_of_the_pixels_of_the_file(planted, result, tmp_path):
    import numpy as np
    from PIL import Image

    picture = rp.edit(result, planted, {0: 0.0})
    write_picture(tmp_path / "x.png", picture[0], (-1.0, 1.0))
    digest = hashlib.sha256(np.asarray(Image.open(tmp_path / "x.png")).tobytes()).hexdigest()
    assert rp.Edit({0: 0.0}).recorded(result, picture).picture_digest == digest


def test_a_file_survives_saving_and_loading_its_run(planted, result, tmp_path):
    edit = rp.Edit.remove([1]).recorded(result, rp.edit(result, planted, {1: 0.0}))
    result.save(tmp_path / "run")
    again = rp.Decomposition.load(tmp_path / "run")
    assert edit.made(again, rp.edit(again, planted, edit)) is True


def test_an_edit_refuses_any_other_run(planted, result, other):
    edit = rp.Edit.remove([0]).recorded(result, rp.edit(result, planted, {0: 0.0}))
    with pytest.raises(rp.InputError, match=r"another run: components .* on record, but .* here"):
        rp.edit(other, planted, edit)
    for name, value in (("weights_digest", "0" * 64), ("layer", "embed")):
        moved = dataclasses.replace(edit, run=dataclasses.replace(edit.run, **{name: value}))
        with pytest.raises(rp.InputError, match=rf"another run: {name.split('_')[0]} "):
            rp.edit(result, planted, moved)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"a": 1.0}, "a component must be a whole number, not 'a'"),
        ({1.5: 1.0}, "a component must be a whole number, not 1.5"),
        ({True: 1.0}, "a component must be a whole number, not True"),
        ({3: float("nan")}, "the scale of component 3 must be a finite number, not nan"),
        ({3: "much"}, "the scale of component 3 must be a finite number, not 'much'"),
        ({3: None}, "the scale of component 3 must be a finite number, not None"),
        ([3], "scales name components, as {3: 0.0} does, not list"),
    ],
)
def test_bad_input_scales(scales, message):
    with pytest.raises(rp.InputError) as caught:
        rp.Edit(scales)
    assert message in str(caught.value)


def test_bad_input_others():
    with pytest.raises(rp.InputError, match="scale of all others must be a finite number, not inf"):
        rp.Edit({}, others=float("inf"))


GOOD = rp.Edit({0: 0.5}).to_dict()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**GOOD, "kind": "run"}, "is no edit"),
        ({**GOOD, "schema_version": 2}, "has schema version 2; this release reads 1"),
        (
            {name: value for name, value in GOOD.items() if name != "others"},
            "missing required field `others`",
        ),
        ({**GOOD, "scales": [0]}, "is corrupt"),
        ({**GOOD, "scales": {"x": 1.0}}, "is corrupt: Expected `int`, got `str`"),
        ({**GOOD, "scales": {"0": "1"}}, "is corrupt: Expected `float`, got `str`"),
        ({**GOOD, "scales": {"0": 10**400}}, "is corrupt: Number out of range"),
        ({**GOOD, "picture_digest": "abc"}, "is corrupt: Expected `str` matching regex"),
        ({**GOOD, "run": {"layer": "express"}}, "is corrupt"),
        (
            {**GOOD, "run": {"layer": 1, "weights_digest": "", "components_digest": ""}},
            "is corrupt: Expected `str`, got `int` - at `$.run.layer`",
        ),
    ],
)
def test_bad_input_files(tmp_path, content, message):
    path = tmp_path / "edit.json"
    path.write_text(json.dumps(content))
    with pytest.raises(rp.StorageError) as caught:
        rp.Edit.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_bad_input_file_names(tmp_path):
    with pytest.raises(rp.StorageError, match="is missing"):
        rp.Edit.read(tmp_path / "nowhere.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(rp.StorageError, match="not valid JSON"):
        rp.Edit.read(tmp_path / "x.json")


def test_a_file_may_leave_out_what_only_swaps_and_blends_need(tmp_path):
    path = tmp_path / "edit.json"
    short = {name: GOOD[name] for name in GOOD if name not in ("taken", "other_run", "patches")}
    path.write_text(json.dumps(short))
    assert rp.Edit.read(path) == rp.Edit({0: 0.5})


def test_edits_of_regions_go_together(result):
    one, two = (rp.Edit.of_regions(result, [patch], scale) for patch, scale in ((0, 0.0), (5, 1.5)))
    both = rp.Edit.together([one, two])
    changes = [edit.row(result) - 1 for edit in (one, two, both)]
    torch.testing.assert_close(changes[0] + changes[1], changes[2])
    assert (both.patches, both.others, both.taken) == ((0, 5), 1.0, {})
    assert rp.Edit.together([one]) == one
    blend = rp.Edit.blend(result, result, [9])
    assert rp.Edit.together([one, blend]).taken == blend.taken
    for strange in (rp.Edit.remove([0]), rp.Edit.keep_only([0])):
        with pytest.raises(rp.InputError, match="each names its patches"):
            rp.Edit.together([one, strange])
