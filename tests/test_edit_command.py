"""`primitives edit`: what it writes, prints, replays and refuses."""

import json
import sys

import pytest

import regional_primitives as rp
from regional_primitives import cli

SETTINGS = rp.Structured(steps=5, batch=8, probes=1, baseline_count=64)


@pytest.fixture
def edit(monkeypatch, capsys):
    """Run the command in this process; returns (status, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["primitives", "edit", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output = capsys.readouterr()
        return stop.value.code, output.out, output.err

    return run


@pytest.fixture(scope="module")
def folders(planted, tmp_path_factory):
    """Two pictures of one generator, and one explained with other patches."""
    root = tmp_path_factory.mktemp("runs")
    for name, seed, grid in (("one", 3, 4), ("two", 4, 4), ("coarse", 4, 2)):
        latents = planted.sample_latents(1, seed=seed)
        rp.explain(planted, latents, rp.Regions.grid(grid, grid), SETTINGS).save(root / name)
    return root


def test_targets_are_refused_before_the_work(edit, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.editing, "edit_ways", lambda *_: pytest.fail("the work has begun"))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "thesis").write_text("x")
    (tmp_path / "link.json").symlink_to(tmp_path / "fine.png")
    fine, run = tmp_path / "fine.png", folders / "one" / "run.json"
    for out, save, message in (
        (tmp_path / "folder.png", None, "it is a folder; name a file in it"),
        (tmp_path / "thesis", None, "exists and is no PNG file"),
        (tmp_path / "thesis" / "a.png", None, "cannot write"),
        (fine, run, "exists and is no edit"),
        (fine, tmp_path / "thesis", "exists and is no edit"),
        (fine, tmp_path / "folder.png", "it is a folder"),
        (fine, tmp_path / "link.json", "are both"),
        (tmp_path / ("x" * 300), None, "File name too long"),
    ):
        words = [folders / "one", "--scale", "0=0", "--out", out]
        status, _, err = edit(*words, *([] if save is None else ["--save-edit", save]))
        assert (status, len(err.splitlines())) == (2, 1)
        assert message in err
    assert (tmp_path / "thesis").read_text() == "x"
    assert not fine.exists()


def pixels(path):
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path)).astype(float)


def expected(planted, folders, wanted, other=None):
    one = rp.Decomposition.load(folders / "one")
    picture = rp.edit(one, planted, wanted, other)[0]
    return ((picture + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--scale", "0=0", "--scale", "2=1.5"], rp.Edit({0: 0.0, 2: 1.5})),
        (["--remove", "0", "--remove", "1"], rp.Edit.remove([0, 1])),
        (["--remove", "0", "--scale", "1=2"], rp.Edit({0: 0.0, 1: 2.0})),
        (["--keep-only", "0", "--keep-only", "1"], rp.Edit.keep_only([0, 1])),
        (["--keep-only", "0", "--scale", "1=0.5"], rp.Edit({0: 1.0, 1: 0.5}, others=0.0)),
    ],
)
def test_scales_give_the_picture_that_python_gives(edit, folders, planted, tmp_path, words, wanted):
    out = tmp_path / "edited.png"
    status, text, _ = edit(folders / "one", *words, "--out", out)
    assert status == 0
    assert abs(pixels(out) - expected(planted, folders, wanted)).max() <= 0.51
    assert "through components" in text
    assert "pixels of the region pasted" in text
    assert ("nothing is outside" in text) == (wanted.others == 0)


def test_swap_and_blend_take_from_another_run(edit, folders, planted, tmp_path):
    one, two = (rp.Decomposition.load(folders / name) for name in ("one", "two"))
    out = tmp_path / "x.png"
    status, _, _ = edit(
        folders / "one", "--swap", f"{folders / 'two'}:0", "--nearest", "--out", out
    )
    assert status == 0
    wanted = rp.Edit.swap(one, two, [0], nearest=True)
    assert abs(pixels(out) - expected(planted, folders, wanted, two)).max() <= 0.51
    status, text, _ = edit(
        folders / "one", "--blend", folders / "two", "--patches", "0,1,4", "--rule", "touching",
        "--out", out,
    )  # fmt: skip
    assert status == 0
    wanted = rp.Edit.blend(one, two, [0, 1, 4], rule="touching")
    assert abs(pixels(out) - expected(planted, folders, wanted, two)).max() <= 0.51
    assert "meant to change: patches 0, 1, 4 (19% of the picture)" in text
    assert "error" in text


def test_a_nearest_partner_is_taken_only_when_asked(edit, folders, tmp_path):
    one, two = (rp.Decomposition.load(folders / name) for name in ("one", "two"))
    (partner,) = rp.Edit.swap(one, two, [0], nearest=True).taken
    two.without(partner).save(tmp_path / "poorer")
    words = [folders / "one", "--swap", f"{tmp_path / 'poorer'}:0", "--out", tmp_path / "x.png"]
    status, _, err = edit(*words)
    assert status == 2
    assert "no component with the action field of component 0" in err
    assert not (tmp_path / "x.png").exists()
    status, out, _ = edit(*words, "--nearest", "--json")
    assert status == 0
    assert len(json.loads(out)["edit"]["taken"]) == 1


def test_json_tells_what_python_measures(edit, folders, planted, tmp_path):
    status, out, err = edit(folders / "one", "--remove", 1, "--out", tmp_path / "x.png", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    one = rp.Decomposition.load(folders / "one")
    effects = rp.edit_effects(one, planted, {1: 0.0}).to_dict()
    assert found["effects"]["patches"] == effects["patches"]
    assert found["effects"]["ways"][0]["outside_share"] == pytest.approx(
        effects["ways"][0]["outside_share"], rel=1e-3
    )
    assert found["picture"] == str(tmp_path / "x.png")
    assert found["edit"]["scales"] == {"1": 0.0}
    assert found["edit_file"] is None
    assert "same_picture" not in found


def test_a_saved_edit_makes_the_same_file_again(edit, folders, tmp_path):
    first, second, file = tmp_path / "1.png", tmp_path / "2.png", tmp_path / "edit.json"
    status, text, _ = edit(
        folders / "one", "--scale", "0=0.25", "--out", first, "--save-edit", file
    )
    assert status == 0
    assert f"edit: {file}" in text
    status, _, err = edit(folders / "one", "--replay", file, "--out", second)
    assert status == 0
    assert "has on record, pixel by pixel" in err
    assert first.read_bytes() == second.read_bytes()


def test_a_blend_is_replayed_with_its_other_run(edit, folders, tmp_path):
    file = tmp_path / "edit.json"
    words = [folders / "one", "--blend", folders / "two", "--patches", "0,1"]
    assert edit(*words, "--out", tmp_path / "1.png", "--save-edit", file)[0] == 0
    again = [folders / "one", "--replay", file, "--out", tmp_path / "2.png"]
    status, out, _ = edit(*again, "--from", folders / "two", "--json")
    assert status == 0
    assert json.loads(out)["same_picture"] is True
    status, _, err = edit(*again)
    assert status == 2
    assert "takes components from another run; name it with --from" in err
    status, _, err = edit(*again, "--from", folders / "one")
    assert status == 2
    assert "takes from another run" in err


def test_replay_says_when_the_picture_is_another_or_none_is_on_record(edit, folders, tmp_path):
    file = tmp_path / "edit.json"
    edit(folders / "one", "--remove", 0, "--out", tmp_path / "1.png", "--save-edit", file)
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "picture_digest": "0" * 64}))
    status, _, err = edit(folders / "one", "--replay", file, "--out", tmp_path / "2.png")
    assert status == 0
    assert "is not the one that" in err
    assert (tmp_path / "2.png").is_file()
    file.write_text(json.dumps({**content, "picture_digest": None}))
    status, out, err = edit(
        folders / "one", "--replay", file, "--out", tmp_path / "2.png", "--json"
    )
    assert status == 0
    assert "no digest on record" in err
    assert json.loads(out)["same_picture"] is None


def test_an_edit_of_another_run_is_refused_and_writes_nothing(edit, folders, tmp_path):
    file = tmp_path / "edit.json"
    edit(folders / "one", "--remove", 0, "--out", tmp_path / "1.png", "--save-edit", file)
    status, out, err = edit(folders / "two", "--replay", file, "--out", tmp_path / "2.png")
    assert (status, out) == (2, "")
    assert "this edit belongs to another run: components" in err
    assert not (tmp_path / "2.png").exists()


def test_bad_input_names_a_file_of_another_kind(edit, folders, tmp_path):
    status, out, err = edit(folders / "one", "--remove", 0, "--out", tmp_path / "x.jpg")
    assert (status, out) == (2, "")
    assert err == "error: --out is written as a PNG file; name it x.png, not x.jpg\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is edited; give one of --scale, --remove or --keep-only, --remove REGION"),
        (["--remove", "0", "--blend", "TWO"], "several were given; give one of"),
        (["--scale", "0:1"], "'0:1' is not of the form NAME=VALUE"),
        (["--scale", "0=nan"], "the scale of component 0 must be a finite number, not nan"),
        (["--scale", "9999=1"], "component 9999 does not exist"),
        (["--remove", "-1"], "component -1 does not exist"),
        (["--remove", "x"], "there is no region 'x'; there are: patches 0 … 15, without names"),
        (["--remove", "x", "--scale", "0=1"], "an edit names components or regions, not both"),
        (["--remove", "0", "--scale", "0=1"], "component 0 is named twice"),
        (["--remove", "0", "--keep-only", "1"], "leave --remove out"),
        (["--swap", "TWO"], "--swap takes OTHER_RUN:K, such as runs/other:3"),
        (["--swap", "TWO:x"], "--swap takes OTHER_RUN:K"),
        (["--swap", "TWO:0", "--swap", "ONE:1"], "of one other run, not 2"),
        (["--swap", "TWO:9999"], "component 9999 does not exist"),
        (["--swap", "COARSE:0"], "patches differ: 4 × 4 grid and 2 × 2 grid"),
        (["--swap", "/nowhere:0"], "/nowhere is not a run folder"),
        (["--blend", "TWO"], "--blend needs --regions"),
        (["--blend", "TWO", "--patches", "0;1"], "there is no region '0;1'"),
        (["--blend", "TWO", "--patches", "16"], "patch 16 does not exist"),
        (["--blend", "TWO", "--patches", "1", "--rule", "no"], "no rule 'no' for blending"),
        (["--remove", "0", "--patches", "1"], "--regions belongs to --blend"),
        (["--remove", "0", "--rule", "inside"], "--rule belongs to --blend"),
        (["--remove", "0", "--nearest"], "--nearest belongs to --swap"),
        (["--remove", "0", "--carry-by", "add"], "--carry-by belongs to --carry"),
        (["--remove", "0", "--from", "TWO"], "--from belongs to --replay"),
        (["--replay", "/nowhere.json"], "/nowhere.json is missing"),
        (["--replay", "ONE/run.json"], "run.json is no edit"),
        (["--remove", "0", "--save-edit", "OUT"], "choose two files"),
        (["--remove", "0", "--carry", "4:4"], "seeds '4:4' name no picture"),
        (["--remove", "0", "--carry", "0:2", "--carry-by", "x"], "--carry-by is one of scale, add"),
        (["--swap", "TWO:0", "--nearest", "--carry", "0:2"], "--carry takes edits that scale"),
    ],
)
def test_bad_input_is_one_line_and_status_two(edit, folders, tmp_path, words, message):
    out = tmp_path / "x.png"
    for name, path in (("ONE", folders / "one"), ("TWO", folders / "two"), ("OUT", out)):
        words = [word.replace(name, str(path)) for word in words]
    words = [word.replace("COARSE", str(folders / "coarse")) for word in words]
    status, text, err = edit(folders / "one", *words, "--out", out)
    assert (status, text) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not out.exists()


def test_regions_go_by_name_and_are_carried_to_other_pictures(edit, planted, tmp_path):
    latents = planted.sample_latents(1, seed=3)
    parts = rp.Regions.grid(1, 2).label_map(32, 32)
    halves = rp.Regions.from_labels(parts, ["left half", "right half"])
    rp.explain(planted, latents, halves, SETTINGS).save(tmp_path / "run")
    words = [tmp_path / "run", "--remove", "left half", "--carry", "5:8", "--out"]
    status, text, err = edit(*words, tmp_path / "x.png")
    assert status == 0, err
    assert "meant to change: left half (50% of the picture)" in text
    assert "carried to 3 pictures" in text
    assert "random units, as much energy" in text
    assert str(tmp_path / "x-carried.png") in text
    assert min(pixels(tmp_path / "x-carried.png").shape[:2]) > 200
    status, text, _ = edit(*words, tmp_path / "x.png", "--carry-by", "add", "--json")
    found = json.loads(text)["carried"]
    assert (status, found["by"], found["pictures"], found["part"]) == (0, "add", 3, "left half")
    one = rp.Decomposition.load(tmp_path / "run")
    expected = rp.carry(rp.Edit.of_regions(one, ["left half"]), one, planted,
                        planted.sample_latents(3, seed=5), by="add")  # fmt: skip
    assert found["ways"][0]["inside"] == pytest.approx(expected.ways[0].inside, rel=1e-3)


def test_a_picture_that_cannot_be_written_is_one_line(edit, folders, tmp_path):
    (tmp_path / "file").write_text("x")
    status, _, err = edit(folders / "one", "--remove", 0, "--out", tmp_path / "file" / "x.png")
    assert status == 2
    assert "cannot write" in err
    assert len(err.splitlines()) == 1
