from __future__ import annotations

import contextlib

import pytest
import torch
from networks import Around, in_place, sequential
from torch import nn

import regional_primitives as rp
from regional_primitives.generators.layers import Layer, joined, parse_layers, refuse_unmet, tapped
from regional_primitives.generators.network import Network


class Many(nn.Module):
    """Each module gives another kind of output; `names` are of a ModuleDict, which allows all."""

    def __init__(self):
        super().__init__()
        self.names = nn.ModuleDict(
            {key: nn.Linear(2, 2) for key in ("plain", "a+b", "7", "x#2", "y[0]", "c", " spaced")}
        )
        self.names["a"] = nn.Linear(2, 2)
        self.block = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
        self.same = self.block
        self.outputs = Outputs()
        self.unused = nn.Linear(2, 2)

    def forward(self, z):
        for part in self.names.values():
            z = part(z)
        z = self.block(self.block(z))
        return self.outputs(z)


class Outputs(nn.Module):
    """Returns tensors of all kinds in a structure of all kinds."""

    def forward(self, z):
        return {"first": z, "rest": [None, (2 * z).long(), (3 * z, "words")], "z": 4 * z}


NETWORK = Many()


# Names


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        ("block", [Layer("block")]),
        ("block.0", [Layer("block.0")]),
        ("block#2", [Layer("block", 2)]),
        ("block#12", [Layer("block", 12)]),
        ("outputs[0]", [Layer("outputs", None, 0)]),
        ("block#2[10]", [Layer("block", 2, 10)]),
        ("same#1", [Layer("same", 1)]),
        ("names.plain", [Layer("names.plain")]),
        ("names.7", [Layer("names.7")]),
        ("names.7#7[7]", [Layer("names.7", 7, 7)]),
        ("names.a+b", [Layer("names.a+b")]),
        ("names.x#2", [Layer("names.x#2")]),
        ("names.x#2#3", [Layer("names.x#2", 3)]),
        ("names.y[0]", [Layer("names.y[0]")]),
        ("names.y[0][1]", [Layer("names.y[0]", None, 1)]),
        ("names.y[0]#2[1]", [Layer("names.y[0]", 2, 1)]),
        ("names. spaced", [Layer("names. spaced")]),
        (" block.1 ", [Layer("block.1")]),
        ("block.0+block.1", [Layer("block.0"), Layer("block.1")]),
        (
            "block.0 + block#2[0] + outputs",
            [Layer("block.0"), Layer("block", 2, 0), Layer("outputs")],
        ),
        (["block"], [Layer("block")]),
        (("block#1", "block#2"), [Layer("block", 1), Layer("block", 2)]),
        (["block.0+block.1", "outputs"], [Layer("block.0"), Layer("block.1"), Layer("outputs")]),
        (["names.a+b", "names.c"], [Layer("names.a+b"), Layer("names.c")]),
    ],
)
def test_names(names, layers):
    assert parse_layers(names, NETWORK) == tuple(layers)


@pytest.mark.parametrize(
    "layers",
    [
        [Layer("block")],
        [Layer("block", 2)],
        [Layer("outputs", None, 1)],
        [Layer("block", 1, 0), Layer("outputs")],
        [Layer("names.x#2"), Layer("names.y[0]", 1, 0)],
        [Layer("names.a+b")],
    ],
)
def test_names_are_written_as_they_are_read(layers):
    assert parse_layers(joined(layers), NETWORK) == tuple(layers)
    assert parse_layers([str(layer) for layer in layers], NETWORK) == tuple(layers)


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        ("names.a+b#2", [Layer("names.a+b", 2)]),
        (["names.a+b[0]", "names.c"], [Layer("names.a+b", None, 0), Layer("names.c")]),
        ("names.a+b+names.c", [Layer("names.a+b"), Layer("names.c")]),
        ("names.c+names.a+b", [Layer("names.c"), Layer("names.a+b")]),
        ("names.a+b+names.a", [Layer("names.a+b"), Layer("names.a")]),
    ],
)
def test_names_with_a_plus_sign_of_their_own_and_a_suffix_or_company(names, layers):
    assert parse_layers(names, NETWORK) == tuple(layers)
    assert parse_layers(joined(layers), NETWORK) == tuple(layers)


@pytest.mark.parametrize(
    ("names", "unknown"),
    [
        ("blocks", "blocks"),
        ("block.2", "block.2"),
        ("block.0.weight", "block.0.weight"),
        ("Block", "Block"),
        ("nothing#2", "nothing"),
        ("nothing[1]", "nothing"),
        ("nothing#2[1]", "nothing"),
        ("block[0]#2", "block[0]"),
        ("block#-1", "block#-1"),
        ("block[-1]", "block[-1]"),
        ("block#two", "block#two"),
        ("block#", "block#"),
        ("block[]", "block[]"),
        ("#2", "#2"),
        ("[0]", "[0]"),
        ("block.0+nothing", "nothing"),
        (["block.0", "nothing"], "nothing"),
        ("names.a+d", "d"),
        ("block.0+", ""),
        (" ", ""),
    ],
)
def test_unknown_names_list_the_cut_points(names, unknown):
    with pytest.raises(rp.GeneratorError) as error:
        parse_layers(names, NETWORK)
    listed = [name for name, _ in NETWORK.named_modules(remove_duplicate=False) if name]
    assert str(error.value) == (
        f"layer {unknown!r} is not in this network; cut points: {', '.join(listed)}"
    )


def test_network_without_layers():
    with pytest.raises(rp.GeneratorError, match="not in this network; cut points: none"):
        parse_layers("block", nn.ReLU())


@pytest.mark.parametrize("name", ["block#0", "block#0[1]", "names.x#2#0", "block#00"])
def test_calls_are_counted_from_one(name):
    with pytest.raises(rp.InputError) as error:
        parse_layers(name, NETWORK)
    assert str(error.value) == f"layer {name!r}: calls are counted from 1"


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        ("block+block", "block"),
        (["block.0", "block.0"], "block.0"),
        (["block.0+outputs", "outputs"], "outputs"),
        ("block#2[1] + outputs + block#2[1]", "block#2[1]"),
        (["block", " block"], "block"),
        ("block#02+block#2", "block#2"),
    ],
)
def test_layer_that_is_named_twice(names, twice):
    with pytest.raises(rp.InputError) as error:
        parse_layers(names, NETWORK)
    assert str(error.value) == f"layer {twice!r} is named twice"


# Taps


def _taken(*layers, z=None):
    """Run up to the layers and return what each gave."""
    return Network(NETWORK, image_of="z").head(torch.ones(1, 1, 1, 2) if z is None else z, layers)


def test_call_and_output_choose():
    first, second = _taken(Layer("block", 1), Layer("block", 2))
    assert len(first) == len(second) == 1
    with torch.no_grad():
        assert torch.allclose(NETWORK.block(first[0]), second[0])
    (mine,) = _taken(Layer("same", 2))  # the same module under another name
    assert torch.equal(mine[0], second[0])
    z = second[0]
    for output, factor in enumerate((1, None, 3, 4)):
        if factor is not None:
            ((found,),) = _taken(Layer("outputs", None, output))
            assert torch.equal(found, factor * z)
    (all_real,) = _taken(Layer("outputs"))
    assert [torch.equal(a, b) for a, b in zip(all_real, (z, 3 * z, 4 * z), strict=True)] == [
        True
    ] * 3


def test_what_is_taken_is_not_written_into_by_what_runs_behind():
    network = Network(in_place().eval())
    z = torch.linspace(-2, 2, 16).view(2, 8)
    (first,), _ = network.head(z, [Layer("3"), Layer("5")])  # layer 4 writes into what 3 gives
    (alone,) = network.head(z, [Layer("3")])[0]
    assert alone.min() < 0
    torch.testing.assert_close(first, alone, rtol=1e-5, atol=1e-6)  # of two runs


def test_order_is_that_of_the_names_not_of_the_run():
    late, early = _taken(Layer("block", 2), Layer("names.plain"))
    again, other = _taken(Layer("names.plain"), Layer("block", 2))
    assert torch.equal(late[0], other[0])
    assert torch.equal(early[0], again[0])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Layer("unused"), "layer 'unused' is never called"),
        (Layer("unused", 1), "layer 'unused' is never called"),
        (
            Layer("block", 3),
            "layer 'block' is called 2 times in a forward pass; there is no call 3",
        ),
        (Layer("outputs", None, 4), "layer 'outputs[4]': it returns 4 tensors, numbered from 0"),
        (Layer("outputs", 1, 9), "layer 'outputs#1[9]': it returns 4 tensors, numbered from 0"),
        (Layer("outputs", None, 1), "layer 'outputs[1]' does not give a tensor of real numbers"),
    ],
)
def test_layers_that_cannot_be_met(layer, message):
    with pytest.raises(rp.GeneratorError) as error:
        _taken(layer)
    assert str(error.value) == message


class Gives(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, z):
        return self.make(z)


@pytest.mark.parametrize(
    "make",
    [
        lambda z: None,
        lambda z: z.long(),
        lambda z: z > 0,
        lambda z: z.to(torch.complex64),
        lambda z: "words",
        lambda z: [],
        lambda z: (z.long(), None, 1.0),
    ],
)
def test_layer_that_gives_no_real_numbers(make):
    network = Around(lambda self, z: [self.kind(z), self.body(z)][1], kind=Gives(make))
    with pytest.raises(rp.GeneratorError) as error:
        rp.cut(network, "kind", baseline_latents=torch.randn(2, 8))
    assert str(error.value) == "layer 'kind' does not give a tensor of real numbers"


def test_layer_that_is_called_several_times_asks_which():
    def visit(i, tensors):
        return None

    with tapped(NETWORK, [Layer("block")], visit) as taps:
        NETWORK(torch.ones(1, 1, 1, 2))
    assert taps[0].calls == 2
    with pytest.raises(rp.GeneratorError) as error:
        refuse_unmet(taps)
    assert str(error.value) == (
        "layer 'block' is called 2 times in a forward pass; say which: block#1 … block#2"
    )


def test_visit_sees_each_call_once_and_may_replace_it():
    seen = []

    def visit(i, tensors):
        seen.append(i)
        return [torch.full_like(tensor, 5.0) for tensor in tensors] if i == 0 else None

    layers = [Layer("block", 2), Layer("outputs", None, 2), Layer("names.plain")]
    with tapped(NETWORK, layers, visit) as taps:
        result = NETWORK(torch.ones(1, 1, 1, 2))
    assert seen == [2, 0, 1]
    assert torch.equal(result["first"], torch.full((1, 1, 1, 2), 5.0))
    assert torch.equal(taps[1].tensors[0], torch.full((1, 1, 1, 2), 15.0))
    assert [tap.calls for tap in taps] == [2, 1, 1]
    refuse_unmet(taps)


def test_replaced_output_keeps_its_structure():
    def visit(i, tensors):
        return [-tensor for tensor in tensors]

    z = torch.ones(1, 1, 1, 2)
    with tapped(NETWORK, [Layer("outputs")], visit):
        result = NETWORK(z)
    plain = NETWORK(z)
    assert result.keys() == plain.keys()
    assert torch.equal(result["first"], -plain["first"])
    assert torch.equal(result["z"], -plain["z"])
    nothing, whole, (tripled, words) = result["rest"]
    assert nothing is None
    assert words == "words"
    assert torch.equal(whole, plain["rest"][1])  # no real numbers, so not part of the feature
    assert torch.equal(tripled, -plain["rest"][2][0])


def test_visit_that_leaves_all_alone_changes_nothing():
    z = torch.ones(1, 1, 1, 2)
    with tapped(NETWORK, [Layer("outputs"), Layer("block", 1)], lambda i, tensors: None):
        result = NETWORK(z)
    assert torch.equal(result["first"], NETWORK(z)["first"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["in the visit", "in the context"])
def test_no_hook_is_left_behind(error, where):
    def visit(i, tensors):
        if where == "in the visit":
            raise error

    with contextlib.suppress(error), tapped(NETWORK, [Layer("block", 1), Layer("same", 2)], visit):
        assert len(NETWORK.block._forward_hooks) == 1  # one a module, whatever its names
        NETWORK(torch.ones(1, 1, 1, 2))
        raise error
    assert all(not part._forward_hooks for part in NETWORK.modules())


# Bundles whose parts are one and the same value


@pytest.mark.parametrize(
    "layers",
    [
        ["3", "3#1"],
        ["3", "3[0]"],
        ["3#1", "3[0]"],
    ],
)
def test_layer_that_is_named_twice_in_two_ways(layers):
    """The second would take the place of the first, on which nothing would then depend."""
    with pytest.raises(rp.RegionalPrimitivesError, match=r"twice|the same"):
        rp.cut(sequential(), layers, baseline_latents=torch.randn(2, 8))


def test_layer_that_another_of_the_bundle_hides():
    """Nothing of the picture depends on layer 3 where layer 5 is given too."""
    with pytest.raises(rp.GeneratorError, match="nothing of the picture depends on layer '3'"):
        rp.cut(sequential(), ["3", "5"], baseline_latents=torch.randn(2, 8))
