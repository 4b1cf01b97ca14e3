import shutil
from functools import cache

import pytest
import torch

import regional_primitives as rp
from regional_primitives.runtime.run_files import REPORT
from regional_primitives.runtime.storage import write_json
from regional_primitives.scores import exhibit
from regional_primitives.show import write_report


@pytest.fixture(scope="session")
def label_map():
    """Four quarters of 32 × 32 pixels, a disc in the middle, a strip of no patch on top."""
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    labels = (y >= 16).long() * 2 + (x >= 16).long()
    labels[(y - 15.5).square() + (x - 15.5).square() < 60] = 4
    labels[:2] = -1
    return labels


FITTED = rp.Structured(purpose="isolate", steps=12, batch=9, probes=1, baseline_count=64)


def _written(folder, generator, regions, settings=FITTED, most=14):
    result = rp.explain(
        generator, generator.sample_latents(1, seed=3), regions, settings, picture_seed=3
    )
    scores = rp.evaluate(
        result,
        generator,
        rp.Evaluation(
            demands=16, components=6, contexts=4, free_demands=2, free_steps=5, free_bounds=True
        ),
    )
    exhibits = exhibit(result, generator, most=most)
    folder.mkdir()
    result.write(folder)
    write_json(folder / "scores.json", scores.to_dict())
    exhibits.write(folder)
    return folder


@pytest.fixture(scope="session")
def run_folder(planted, tmp_path_factory):
    """A run on a 4 × 4 grid, as `primitives explain` leaves it but for figures and report."""
    return _written(tmp_path_factory.mktemp("runs") / "grid", planted, rp.Regions.grid(4, 4))


@pytest.fixture(scope="session")
def labelled_folder(planted, label_map, tmp_path_factory):
    regions = rp.Regions.from_labels(label_map)
    return _written(tmp_path_factory.mktemp("runs") / "labels", planted, regions)


@pytest.fixture(scope="session")
def named_folder(planted, label_map, tmp_path_factory):
    names = ["sky", "sea", "sand", "stones", "sun"]
    regions = rp.Regions.from_labels(label_map, names)
    return _written(tmp_path_factory.mktemp("runs") / "names", planted, regions)


@pytest.fixture(scope="session")
def exact_folder(planted, tmp_path_factory):
    """A run in the exact form, with a remainder and a noise floor that some components miss."""
    settings = rp.Exact(
        patches=[0, 1, 3, 4, 8], baseline_count=64, steps=6, tolerance=1.0, sparse_steps=20,
        joint_steps=1, starts=1, start_noise=0.2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "exact"
    return _written(folder, planted, rp.Regions.grid(3, 3), settings)


@pytest.fixture(scope="session")
def faces_folder(faces, tmp_path_factory):
    """A short run of the real generator, with as many components shown as `primitives explain`."""
    folder = tmp_path_factory.mktemp("runs") / "faces"
    return _written(folder, faces, rp.Regions.grid(6, 6), most=24)


@pytest.fixture(scope="session")
def with_report(tmp_path_factory):
    """Copy a run folder and write its report there, once for all who only read it."""

    @cache
    def written(folder):
        own = shutil.copytree(folder, tmp_path_factory.mktemp("written") / "run")
        assert write_report(own) == own / REPORT
        return own

    return written


@pytest.fixture
def own_folder(run_folder, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(run_folder, tmp_path / "run")
