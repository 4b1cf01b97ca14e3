"""What captum, shapiq and diffusers return, taken as it is."""

import captum.attr
import pytest
import shapiq
import torch
from diffusers import UNet2DConditionModel

import regional_primitives as rp
from regional_primitives.others import Attributions, Interactions, Maps, region_scores


def test_captum_credits_each_patch_with_its_own_cells(
    made, cells, subject, quarters, by_quarter, component_of
):
    scores, feature, baseline = region_scores(cells, subject.latents, quarters, baseline_count=64)
    assert torch.allclose(scores(feature), torch.ones(1, 4), atol=1e-5)
    assert torch.allclose(scores(baseline), torch.zeros(1, 4), atol=1e-5)
    method = captum.attr.IntegratedGradients(scores)
    found = torch.cat(
        [method.attribute(feature, baselines=baseline, target=patch) for patch in range(4)]
    )
    # Captum's own axiom: attributions sum up to the score.
    assert torch.allclose(found.flatten(1).sum(1), torch.ones(4, dtype=found.dtype), atol=1e-4)
    fields = torch.eye(4, dtype=torch.bool)
    result = made(Attributions(found, fields))
    for patch in range(4):
        assert torch.allclose(component_of(result, [patch]), by_quarter[patch], atol=1e-4)
    own = rp.evaluate(
        Attributions(found, fields), cells, rp.Evaluation(demands=8, free_demands=0),
        latents=subject.latents, regions=quarters,
    )  # fmt: skip
    assert own.inside_error < 0.05  # of the generator's own baseline, another one


def test_shapiqs_interactions_of_a_game_on_the_patches(made, by_quarter, component_of, subject):
    """What the picture gains by the cells of some patches, patches 0 and 1 only together."""
    weight = by_quarter.flatten(1).square().sum(1)

    def game(coalitions):
        on = torch.as_tensor(coalitions)
        both = (on[:, 0] & on[:, 1]).float() * (weight[0] + weight[1])
        return (both + on[:, 2:].float() @ weight[2:]).numpy()

    values = shapiq.ExactComputer(game, 4)("Moebius")
    found = made(Interactions(values))
    assert torch.allclose(component_of(found, [0, 1]), by_quarter[0] + by_quarter[1], atol=1e-5)
    assert torch.allclose(component_of(found, [2]), by_quarter[2], atol=1e-5)
    by_hand = {patches: float(v) for patches, v in values.dict_values.items()}
    assert made(Interactions(by_hand)).values.equal(found.values)
    # An approximation of theirs is of the same kind.
    sampled = shapiq.KernelSHAPIQ(n=4, index="k-SII", max_order=2, random_state=0)
    assert made(Interactions(sampled.approximate(budget=16, game=game))).count > 0


def test_bad_input_a_game_of_other_players(made):
    values = shapiq.ExactComputer(lambda rows: rows.sum(1).astype(float), 3)("Moebius")
    with pytest.raises(rp.InputError, match="the game has 3 players, the picture 4 patches"):
        made(Interactions(values))


class _Keeping:
    """A processor of diffusers' attention that keeps the probabilities of cross-attention."""

    def __init__(self, kept, name):
        self.kept, self.name = kept, name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(project(states))
            for project, states in (
                (attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context),
            )
        )  # fmt: skip
        scores = attn.get_attention_scores(query, key)
        if encoder_hidden_states is not None:
            self.kept[self.name] = scores
        return attn.to_out[0](attn.batch_to_head_dim(scores @ value))


@pytest.fixture(scope="module")
def attention():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 16), cross_attention_dim=12, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    kept = {}
    unet.set_attn_processor({name: _Keeping(kept, name) for name in unet.attn_processors})
    with torch.no_grad():
        unet(torch.randn(1, 4, 8, 8), 3, torch.randn(1, 5, 12))
    return kept


def test_cross_attention_of_words_becomes_gates(made, attention, subject):
    assert {one.shape[1] for one in attention.values()} == {16, 64}
    words = {"a": 1, "face": 2}
    found = made(Maps.of_attention(attention, words, normalise="none"))
    assert set(found.provenance.settings["labels"]) == set(words)
    # All tokens together are attended to with probability 1, so that they sum up to f − f0.
    every = made(Maps.of_attention(attention, {str(i): i for i in range(5)}, normalise="none"))
    whole = sum(every.component(k)[0] for k in range(5))
    assert torch.allclose(whole.flatten(), subject.difference, atol=1e-4)
    spatial = {
        name: one.unflatten(1, (int(one.shape[1] ** 0.5),) * 2) for name, one in attention.items()
    }
    again = made(Maps.of_attention(spatial, words, normalise="none"))
    assert again.values.equal(found.values)


@pytest.mark.parametrize(
    ("given", "words", "message"),
    [
        ({}, {"a": 0}, "attention of one layer and one word is needed"),
        ({"down": torch.ones(2, 16, 5)}, {}, "attention of one layer and one word is needed"),
        ({"down": torch.ones(2, 15, 5)}, {"a": 0}, r"attention of down is \[heads, places"),
        ({"down": torch.ones(2, 16, 5)}, {"a": 5}, "the token of 'a' must be .* from 0 to 4"),
        (torch.ones(2, 16, 5), {"a": 0}, "attention is told by layer"),
    ],
)  # fmt: skip
def test_bad_input_attention(given, words, message):
    with pytest.raises(rp.InputError, match=message):
        Maps.of_attention(given, words)
