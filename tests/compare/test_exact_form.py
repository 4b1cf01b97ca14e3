"""All experiments take the exact form, whose remainder does not count."""

import pytest
import torch

import regional_primitives as rp
from regional_primitives import scores
from regional_primitives.compare.relatedness import relatedness
from regional_primitives.compare.transfer import transfer
from regional_primitives.scores.components import counted_components

PATCHES, OTHER_PATCHES = [0, 1, 5, 6], [1, 5, 6, 10]


@pytest.fixture(scope="module")
def draws(planted):
    """Two draws of patches of one picture."""
    latents = planted.sample_latents(1, seed=3)
    return [
        rp.explain(
            planted,
            latents,
            rp.Regions.grid(4, 4),
            rp.Exact(patches=tuple(patches), steps=10, starts=2, baseline_count=64),
        )
        for patches in (PATCHES, OTHER_PATCHES)
    ]


def test_the_remainder_does_not_count(draws):
    exact = draws[0]
    assert exact.remainder is not None
    assert exact.remainder not in counted_components(exact)
    assert len(counted_components(exact)) == exact.count - 1
    assert scores.sparsity(exact).patches == 4


def test_relations_leave_the_remainder_out_and_keep_the_numbers(draws):
    exact = draws[0]
    found = relatedness(exact)
    assert found.components.tolist() == [k for k in range(exact.count) if k != exact.remainder]
    alone = rp.relations(exact.without(exact.remainder))
    assert found.relations.to_dict() == alone.to_dict()
    # No field of the chosen patches meets the remainder's, which would be nested with nothing.
    served = (~found.leading_share.isnan()).nonzero().flatten().tolist()
    assert served == PATCHES
    pairs = exact.count * (exact.count - 1) / 2
    whole = int(rp.relations(exact).contains.sum()) / pairs
    assert whole < found.numbers()["contained_pairs"]
    told = found.to_dict()["members"]
    assert sorted(k for group in told for k in group) == found.components.tolist()


def test_pictures_of_the_same_patches_transfer_without_the_remainder(planted, draws):
    exact = draws[0]
    other = rp.explain(
        planted,
        planted.sample_latents(1, seed=4),
        exact.regions,
        rp.Exact(patches=tuple(PATCHES), steps=10, starts=2, baseline_count=64),
    )
    assert None not in (exact.remainder, other.remainder)
    fields = [
        [tuple(row) for k, row in enumerate(d.action_fields.tolist()) if k != d.remainder]
        for d in (exact, other)
    ]
    count = min(map(len, fields))
    found = transfer([exact, other], a=count, b=count, draws=1)
    assert found.a == count
    for i, j in ((0, 1), (1, 0)):
        common = len(set(fields[i][:count]) & set(fields[j][:count]))
        assert float(found.found.strongest[i, j]) == pytest.approx(common / count)


def test_compared_components_keep_their_numbers_but_not_the_remainder_s_rank(draws):
    exact = draws[0]
    (pair,) = rp.compare([exact, exact], draws=1).pairs
    counted = [k for k in range(exact.count) if k != exact.remainder]
    assert sorted(field.components for field in pair.shared) == [(k, k) for k in counted]
    for field in pair.shared:
        rank = counted.index(field.components[0]) + 1
        assert field.ranks == (rank, rank)


def test_bad_input_transfer_of_other_patches(planted, draws):
    message = "demanded patches differ: 0, 1, 5, 6 and 1, 5, 6, 10; explain every picture with"
    with pytest.raises(rp.InputError, match=message):
        transfer(draws)
    structured = rp.explain(
        planted,
        planted.sample_latents(1, seed=3),
        rp.Regions.grid(4, 4),
        rp.Structured(steps=1, batch=2, probes=1, baseline_count=64),
    )
    with pytest.raises(rp.InputError, match="differ: all 16 and 0, 1, 5, 6"):
        transfer([structured, draws[0]])


def test_what_was_spent_is_what_the_fit_says(draws):
    spent = scores.spent(draws[0])
    assert spent.evaluations == draws[0].provenance.evaluations > 0
    assert spent.numbers()["seconds"] == draws[0].provenance.wall_seconds


def test_noise_goes_with_its_component(draws):
    exact = draws[0]
    few = exact.select([2, 0])
    assert (few.noise is None) == (exact.noise is None)
    if exact.noise is not None:
        assert torch.equal(few.noise, exact.noise[[2, 0]])


def test_every_experiment_takes_it(planted, draws):
    exact, other = draws
    few = {"components": 3, "contexts": 2}
    count = exact.count - 1
    assert len(scores.boundedness(exact, planted, **few).energy) == count
    assert exact.remainder not in scores.consistency(exact, planted, **few).components
    found = scores.superposition(exact, planted)
    assert found.patches.nonzero().flatten().tolist() == PATCHES
    assert found.numbers()["inside_error"] < 0.05
    for region in scores.control(exact, planted, draws=1).regions:
        assert set(region) <= set(PATCHES)
    assert transfer([exact, exact], a=5, b=5, draws=1).summary["transfer"].mean == 1.0
    redrawn = scores.redraw(exact, other)
    assert redrawn.common == (1, 5, 6)
    assert redrawn.found.cosine > redrawn.shuffled.cosine


def test_sparsity_tells_the_noise_of_every_order_beside_the_strongest(draws):
    exact = draws[0].without(draws[0].remainder)
    found = scores.sparsity(draws[0])
    sizes = exact.action_fields.sum(1)
    strongest = exact.strengths.max()
    for size, floor in found.noise.items():
        own = exact.noise[sizes == size]
        assert torch.allclose(own / strongest, torch.full_like(own, floor))
    assert set(found.noise) == set(sizes.tolist())
    numbers = found.numbers()
    assert numbers["noise_floor"] == max(found.noise.values())
    assert numbers["above_noise"] == sum(
        strength > noise
        for strength, noise in zip(exact.strengths.tolist(), exact.noise.tolist(), strict=True)
    )
    energy = exact.strengths.square()
    low = float(energy[sizes <= 3].sum() / energy.sum())
    assert numbers["low_orders"] == pytest.approx(low, rel=1e-4)


def test_the_structured_form_has_no_noise_floor_to_tell(truth):
    numbers = scores.sparsity(truth).numbers()
    assert "noise_floor" not in numbers
    assert "above_noise" not in numbers
