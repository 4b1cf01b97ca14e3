import io

import pytest
from PIL import Image

import regional_primitives as rp
from regional_primitives.explore.explorer import Explorer
from regional_primitives.explore.serving import serving

QUICK = rp.Structured(purpose="isolate", steps=5, batch=4, trials=0, probes=1, baseline_count=64)


@pytest.fixture(scope="session")
def face_folder(faces, tmp_path_factory):
    """A face, explained in a hurry: components of the real kind, if not of the real quality."""
    folder = tmp_path_factory.mktemp("explored") / "face"
    latents = faces.sample_latents(1, seed=22)
    rp.explain(faces, latents, rp.Regions.grid(6, 6), QUICK, picture_seed=22).save(folder)
    return folder


@pytest.fixture(scope="session")
def face(face_folder):
    return rp.Decomposition.load(face_folder)


@pytest.fixture(scope="module")
def explorer(face_folder):
    opened = Explorer.of(face_folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(face_folder):
    """The address of a running explorer."""
    with serving(face_folder) as found:
        yield found


@pytest.fixture(scope="session")
def pixels_of():
    """Decode a PNG into [height, width, bands]."""
    import numpy as np

    def decode(content):
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    return decode
