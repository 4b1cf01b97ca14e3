"""An explained picture is checked and bound once, and answers demands on every network."""

from __future__ import annotations

import pytest
import torch

import regional_primitives as rp
from regional_primitives.picture import Picture


@pytest.fixture(scope="module")
def answer(planted):
    settings = rp.Structured(steps=40, batch=16, probes=2, baseline_count=256)
    return rp.explain(planted, planted.sample_latents(1, seed=3), rp.Regions.grid(4, 4), settings)


def test_asking_generates_the_minimal_feature(answer, planted):
    image = rp.ask(answer, planted, [1, 2])
    torch.testing.assert_close(image, planted.tail(answer.minimal_feature([1, 2])))
    both = rp.ask(answer, planted, torch.eye(16, dtype=torch.bool)[:2])
    torch.testing.assert_close(both[1:], rp.ask(answer, planted, 1))


def test_asking_holds_what_flows_past_the_cut():
    first, last = torch.nn.Linear(3, 16), torch.nn.Linear(19, 48)

    class Skips(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = torch.nn.ModuleDict({"first": first, "last": last})

        def forward(self, z):
            hidden = self.parts["first"](z).tanh()
            return self.parts["last"](torch.cat([hidden, z], 1)).tanh().view(-1, 3, 4, 4)

    torch.manual_seed(0)
    generator = rp.cut(
        Skips(),
        "parts.first",
        sample_latents=lambda count, rng: torch.randn(count, 3, generator=rng),
        image_range=(-1.0, 1.0),
    )
    latents = generator.sample_latents(1, seed=1)
    quick = rp.Structured(steps=5, batch=4, baseline_count=32)
    d = rp.explain(generator, latents, rp.Regions.grid(2, 2), quick)
    with pytest.raises(rp.GeneratorError, match="flows past the cut"):
        generator.tail(d.minimal_feature([0]))
    whole = rp.ask(d, generator, range(4))
    assert whole.shape == (1, 3, 4, 4)
    bound = generator.at(latents)
    torch.testing.assert_close(whole, bound.tail(d.minimal_feature(range(4))))


def test_patterns_and_removals_are_what_components_add_and_what_they_are_owed(answer, planted):
    picture = Picture.of(answer, planted)
    for k, pattern in zip((2, 0), picture.patterns([2, 0]), strict=True):
        alone = answer.component(k) + answer.baseline
        torch.testing.assert_close(pattern, (planted.tail(alone)[0] - answer.baseline_image).cpu())
    gone = rp.edit(answer, planted, {1: 0.0})[0]
    torch.testing.assert_close(picture.removals([1])[0], answer.image - gone)


def test_selected_components_keep_their_order_and_their_units(answer):
    some = answer.select([3, 1])
    for place, k in enumerate((3, 1)):
        torch.testing.assert_close(some.component(place), answer.component(k))
        assert torch.equal(some.action_fields[place], answer.action_fields[k])
    assert answer.select([]).count == 0


def test_bad_input_is_refused_once_for_all(answer, planted):
    with pytest.raises(rp.InputError, match="does not exist"):
        rp.ask(answer, planted, [99])
    with pytest.raises(rp.InputError, match="component 999 does not exist"):
        answer.select([999])
    with pytest.raises(rp.InputError, match=r"rp\.cut"):
        rp.ask(answer, "planted", [0])
    with pytest.raises(rp.GeneratorError, match="other weights"):
        rp.ask(answer, rp.load_generator("faces"), [0])


def test_features_that_are_equal_are_generated_once(answer, planted, monkeypatch):
    picture = Picture.of(answer, planted)
    rows = torch.eye(16, dtype=torch.bool)[[3, 5, 3, 5, 7]]
    expected = planted.render(answer.minimal_units(rows))
    seen = []
    render = type(planted).render

    def counted(generator, units):
        seen.append(len(units))
        return render(generator, units)

    monkeypatch.setattr(type(planted), "render", counted)
    torch.testing.assert_close(picture.ask(rows), expected)
    assert seen == [3]
