"""A sample of `make fuzz`: mutants of stored files, pictures, label maps, caches and questions."""

import jaxtyping
import pytest

from fuzz import fuzz


@pytest.fixture(scope="module")
def cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGIONAL_PRIMITIVES_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_bad_input_mutants_are_refused_or_sound(tmp_path, cache_of_its_own):
    assert jaxtyping.config.jaxtyping_disable
    counts, findings = fuzz(120, 7, tmp_path)
    assert findings == []
    assert sum(counts.values()) == 120
    told = {outcome.split(": ")[1] for outcome in counts}
    assert told == {"refused", "accepted"}
