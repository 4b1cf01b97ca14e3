"""docs/method.md says what the code does: numbers recomputed, identities tried at random."""

from __future__ import annotations

import itertools
import math
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regional_primitives as rp
from regional_primitives.decompose.demands import draw_demands
from regional_primitives.decompose.provenance import Provenance
from regional_primitives.setfunctions import membership, orders

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "method.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
some = settings(deadline=None, max_examples=15)


# Reading the document.


def table(first_header: str) -> list[list[str]]:
    """The cells of the table whose header row begins with these words, header included."""
    lines = TEXT.splitlines()
    (start,) = (i for i, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [cells[0], *cells[2:]]


def bitmask(patches) -> int:
    """Bit i is patch i."""
    return sum(1 << patch for patch in {int(patch) for patch in patches})


def subset(cell: str) -> int:
    """The bitmask of {a, b, …}, patch a being bit 0."""
    assert re.fullmatch(r"∅|\{[abc](, [abc])*\}", cell), cell
    return bitmask("abc".index(patch) for patch in re.findall("[abc]", cell))


def vectors(text: str) -> list[tuple[float, ...]]:
    """All (1, 2, 3) in a text, in order."""
    found = re.findall(r"\((−?\d+(?:, −?\d+)+)\)", text)
    return [tuple(float(x) for x in v.replace("−", "-").split(", ")) for v in found]


def by_bitmask(rows: list[tuple[int, tuple[float, ...]]], baseline=None) -> torch.Tensor:
    listed = dict(rows) if baseline is None else {0: baseline, **dict(rows)}
    return torch.tensor([listed[mask] for mask in range(len(listed))])


def section(heading: str) -> str:
    """The text under a heading, up to the next one."""
    _, rest = TEXT.split(f"\n{heading}\n")
    return re.split(r"\n#+ ", rest)[0]


# The worked examples.


@pytest.fixture
def needed():
    """u(S) of the first example, [4, 3]."""
    rows = [(subset(S), vectors(value)[0]) for S, value in table("demand S")[1:]]
    return by_bitmask(rows)


@pytest.fixture
def parts():
    """Its components by the table, [4, 3], with the baseline in row ∅."""
    rows = [(subset(row[0]), vectors(row[3])[0]) for row in table("component")[1:]]
    return by_bitmask(rows, baseline=(1.0, 1.0, 1.0))


def test_the_two_patch_example_is_what_the_code_computes(needed, parts):
    assert needed.shape == (4, 3)
    assert torch.equal(rp.or_harsanyi(needed), parts)
    assert torch.equal(rp.or_values(parts), needed)


def test_the_two_patch_example_adds_up_by_hand():
    for _, _, by_hand, value in table("component")[1:]:
        first, *rest = vectors(by_hand)
        assert by_hand.count(" − (") == len(rest)
        left = tuple(x - sum(y) for x, *y in zip(first, *rest, strict=True))
        assert left == vectors(value)[0]
    (back,) = re.findall(r"For \{a\}, that\s+is\s+(.*?), as above", TEXT, re.DOTALL)
    *terms, total = vectors(back)
    assert len(terms) == 3
    assert tuple(map(sum, zip(*terms, strict=True))) == total


def test_the_prose_of_the_two_patch_example_names_the_right_numbers(needed, parts):
    prose = re.sub(r"^\|.*$", "", section("### Two patches"), flags=re.MULTILINE)
    freed = needed[-1] - needed.flip(0)
    expected = [
        needed[3], needed[2], parts[1], parts[2], parts[1] + parts[2], freed[3], parts[3],
        needed[0], parts[1], parts[3], needed[1], parts[3],
    ]  # fmt: skip
    assert vectors(prose) == [tuple(row.tolist()) for row in expected]
    first = (parts[:, 0] / (needed[3, 0] - needed[0, 0])).tolist()
    assert (first[1], first[3]) == pytest.approx((4 / 5, 1 / 5))  # "four fifths", "one fifth"


def test_the_and_reading_is_what_the_code_computes(needed):
    rows = [(subset(T), vectors(value)[0]) for T, value in table("AND component")[1:]]
    assert torch.equal(rp.and_harsanyi(needed)[1:], by_bitmask(rows, needed[0].tolist())[1:])
    a, pair, single, flipped, twice = vectors(section("### 4.3 OR components from AND components"))
    ands, ors = rp.and_harsanyi(needed), rp.or_harsanyi(needed)
    for listed, expected in ((a, ands[1]), (pair, ands[3]), (single, ors[1]), (twice, ors[3])):
        assert listed == tuple(expected.tolist())
    assert flipped == pair


@pytest.fixture
def three():
    """The rows of the three-patch table by name, in bitmask order."""
    header, *rows = table("set")
    assert [subset(cell) for cell in header[1:]] == list(range(8))
    return {row[0]: torch.tensor([float(cell) for cell in row[1:]]) for row in rows}


def test_the_three_patch_table_is_what_the_code_computes(three):
    u, w = three["u"], three["w"]
    components = three["after pass c: components"]
    assert torch.equal(w, u[-1] - u.flip(0))
    assert torch.equal(components[1:], rp.or_harsanyi(u)[1:])
    assert torch.equal(components, rp.and_harsanyi(w))
    assert (u[0], u[-1]) == (10, 30)
    before = w
    for bit, name in enumerate(("after pass a", "after pass b", "after pass c: components")):
        after = before.clone()
        for mask in range(8):
            if mask >> bit & 1:
                after[mask] = before[mask] - before[mask & ~(1 << bit)]
        assert torch.equal(after, three[name])
        before = after


def test_the_three_steps_give_the_middle(three):
    (found,) = re.findall(r"three steps: (\d+) − \(([\d +]+)\) \+ \(([\d +]+)\) = (\d+)\.", TEXT)
    whole, pairs, singles, middle = ([float(x) for x in part.split(" + ")] for part in found)
    w = three["w"]
    assert whole == [w[7]]
    assert pairs == [w[0b011], w[0b101], w[0b110]]
    assert singles == [w[0b001], w[0b010], w[0b100]]
    assert middle == [whole[0] - sum(pairs) + sum(singles)] == [rp.or_harsanyi(three["u"])[7]]


def test_the_code_of_the_document_runs_and_gives_what_it_says(three):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    first, forth, back = code.strip().splitlines()
    names = {"torch": torch, "rp": rp}
    exec(first, names)
    said = [float(x) for x in re.findall(r"\d+", forth.split("#")[1])]
    assert eval(forth.split("#")[0], names).tolist() == said
    assert "u again" in back
    assert torch.equal(eval(back.split("#")[0], names), names["u"])
    assert torch.equal(names["u"], three["u"])


def test_the_pictures_show_the_examples_of_the_text(parts, three):
    import importlib.util

    pytest.importorskip("matplotlib")
    path = ROOT / "benchmarks" / "method_figures.py"
    spec = importlib.util.spec_from_file_location("method_figures", path)
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    for field, value in figures.TWO.items():
        assert [float(x) for x in value.split()] == parts[subset_of(field)].tolist()
    components = three["after pass c: components"]
    assert {T: components[subset_of(T)] for T in figures.THREE} == figures.THREE
    assert len(figures.THREE) == 7
    shown = {text.get_text() for axes in figures.venn().axes for text in axes.texts}
    assert {"(4, 0, 0)", "(0, 3, 0)", "(1, 0, 2)", "outside: f₀ = (1, 1, 1)"} <= shown
    counts = [
        [text.get_text() for text in axes.texts if re.fullmatch(r"[+−]1|0", text.get_text())]
        for axes in figures.signs().axes
    ]
    assert [c.count("+1") - c.count("−1") for c in counts] == [7, 1 - 3, 1]


def subset_of(field: str) -> int:
    return bitmask("abc".index(patch) for patch in field)


# The identities of section 4 that tests/setfunctions does not try.


@st.composite
def games(draw, smallest=1, largest=7):
    """A random vector-valued game, and a generator to draw more from."""
    n = draw(st.integers(smallest, largest))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return n, torch.randn(2**n, 3, generator=rng, dtype=torch.float64), rng


@some
@given(game=games())
def test_4_2_components_add_up_to_what_the_full_demand_needs(game):
    _, u, _ = game
    torch.testing.assert_close(rp.or_harsanyi(u)[1:].sum(0), u[-1] - u[0], rtol=0, atol=1e-9)


@some
@given(game=games(largest=5))
def test_4_2_the_representation_is_unique(game):
    n, _, _ = game
    member = membership(n)
    meets = (member[:, None] & member[None, :]).any(-1).double()  # [S, T]: T ∩ S ≠ ∅
    assert torch.linalg.matrix_rank(meets[1:, 1:]) == 2**n - 1


@some
@given(game=games())
def test_4_3_or_components_from_and_components(game):
    n, u, _ = game
    ands, ors, order = rp.and_harsanyi(u), rp.or_harsanyi(u), orders(n)
    for T in range(1, 2**n):
        above = [L for L in range(2**n) if L & T == T]
        expected = (-1) ** (int(order[T]) + 1) * ands[above].sum(0)
        torch.testing.assert_close(ors[T], expected, rtol=0, atol=1e-9)


@some
@given(game=games(smallest=2), data=st.data())
def test_4_5_fewer_patches_cut_the_fields_down(game, data):
    n, u, _ = game
    chosen = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n)))
    inner = membership(len(chosen))
    masks = [bitmask(chosen[i] for i in row.nonzero().flatten().tolist()) for row in inner]
    found = rp.or_harsanyi(u[masks])
    whole, P = rp.or_harsanyi(u), masks[-1]
    for T, mask in enumerate(masks):
        fields = [R for R in range(1, 2**n) if mask == R & P]
        if T:
            torch.testing.assert_close(found[T], whole[fields].sum(0), rtol=0, atol=1e-9)
        else:
            remainder = u[-1] - u[P]
            torch.testing.assert_close(remainder, whole[fields].sum(0), rtol=0, atol=1e-9)


def test_4_6_noise_doubles_its_variance_with_every_order():
    n, sigma = 9, 0.3
    rng = torch.Generator().manual_seed(0)
    errors = sigma * torch.randn(2**n, 2000, generator=rng, dtype=torch.float64)
    errors[0] = 0
    noise = rp.or_harsanyi(errors).square().mean(1)
    order = orders(n)
    spreads = [float(noise[order == size].mean()) ** 0.5 for size in range(1, n + 1)]
    for size, spread in enumerate(spreads, start=1):
        assert spread == pytest.approx(sigma * 2 ** (size / 2), rel=0.05)
    growth = [after / before for before, after in itertools.pairwise(spreads)]
    assert sum(growth) / len(growth) == pytest.approx(2**0.5, rel=0.01)
    total = float(noise.sum()) / sigma**2
    assert total == pytest.approx(3**n - 1, rel=0.02)


def test_4_6_the_arithmetic_of_nine_patches():
    text = section("### 4.6 Noise doubles its variance with every order").replace("\n", " ")
    factor = int(re.findall(r"nine patches that is ([\d,]+) times", text)[0].replace(",", ""))
    assert factor == 3**9 - 1
    percent = float(re.findall(r"error of (\d+) %", text)[0])
    times = int(re.findall(r"puts (\d+) times", text)[0])
    assert times == int((percent / 100) ** 2 * factor)


def test_4_4_the_counts_for_twelve_patches():
    found = re.findall(
        r"For 12\s+patches:\s+([\d,]+)\s+subtractions,\s+([\d,]+)\s+terms,\s+([\d,]+)\s+entries",
        TEXT,
    )
    assert [int(x.replace(",", "")) for x in found[0]] == [12 * 2**11, 3**12, 4**12]


@pytest.mark.parametrize("signed", [False, True])
def test_4_7_the_structured_form_gives_its_own_or_interactions(signed):
    n, units = 4, 6
    rng = torch.Generator().manual_seed(int(signed))
    fields = membership(n)[torch.randperm(2**n - 1, generator=rng)[:7] + 1]
    shares = torch.rand(7, units, generator=rng) - 0.3 * signed
    shares = shares / shares.sum(0)
    baseline, feature = torch.randn(2, 1, units, generator=rng)
    result = assembled(fields, shares * (feature - baseline), baseline, feature, n)
    u = result.minimal_units(membership(n))
    torch.testing.assert_close(u[-1:], feature, rtol=0, atol=1e-5)
    assert torch.equal(u[:1], baseline)
    components = rp.or_harsanyi(u)
    expected = torch.zeros_like(components)
    expected[0] = baseline[0]
    for field, share in zip(fields, shares, strict=True):
        expected[bitmask(field.nonzero().flatten())] = share * (feature - baseline)[0]
    torch.testing.assert_close(components, expected, rtol=0, atol=1e-5)
    on = (u - baseline) / (feature - baseline)
    inside = bool(((on > -1e-5) & (on < 1 + 1e-5)).all())
    grows = all(bool((on[S | 1 << i] >= on[S] - 1e-5).all()) for S in range(2**n) for i in range(n))
    assert grows == (not signed)
    assert inside or signed


def test_4_7_a_unit_takes_back_no_more_than_its_bound():
    rng = torch.Generator().manual_seed(0)
    give_back, fields = 0.6, membership(4)[1:]
    a, b = torch.randn(2, 15, 50, generator=rng).mul(3).softmax(1)
    shares = (1 + give_back) * a - give_back * b
    torch.testing.assert_close(shares.sum(0), torch.ones(50))
    assert float(shares.abs().sum(0).max()) <= 1 + 2 * give_back + 1e-5
    on = (membership(4).float() @ fields.float().T > 0).float() @ shares
    assert float(on.min()) >= -give_back
    assert float(on.max()) <= 1 + give_back
    assert float(on.min()) < 0
    assert float(on.max()) > 1


def assembled(fields, components, baseline, feature, n):
    field_of, unit_of = components.nonzero(as_tuple=True)
    return rp.Decomposition.assemble(
        fields=fields,
        field_of=field_of,
        unit_of=unit_of,
        values=components[field_of, unit_of],
        feature=feature,
        baseline=baseline,
        image=torch.zeros(3, n, n),
        baseline_image=torch.zeros(3, n, n),
        regions=rp.Regions.grid(1, n),
        history=torch.zeros(1, 3),
        latents=torch.zeros(1, 1),
        provenance=Provenance(
            generator="none", layer="none", weights_digest="", image_range=(0.0, 1.0),
            method="structured", settings={}, picture_seed=None, evaluations=0, wall_seconds=0.0,
            tail_seconds=0.0, converged=True, versions={},
        ),
    )  # fmt: skip


@pytest.mark.parametrize("field", [{0}, {1, 3}, {0, 2, 4}, {0, 1, 2, 3, 4}])
def test_4_8_each_patch_of_a_field_gets_one_part_in_its_size(field):
    n = 5
    credit = [Fraction(0)] * n
    for order in itertools.permutations(range(n)):
        asked = set()
        for patch in order:
            woke = bool(field & asked)
            asked.add(patch)
            credit[patch] += bool(field & asked) - woke
    share = Fraction(math.factorial(n), len(field))
    assert credit == [share if patch in field else 0 for patch in range(n)]


def test_4_9_how_often_components_wake():
    rng = torch.Generator().manual_seed(0)
    draws, n = 200_000, 8
    demands = torch.rand(draws, n, generator=rng) < torch.rand(draws, 1, generator=rng)
    for size in range(1, n + 1):
        woken = demands[:, :size].any(1).double().mean()
        assert float(woken) == pytest.approx(size / (size + 1), abs=0.005)
    both_sleep = ~(demands[:, :3].any(1) | demands[:, 2:5].any(1))
    assert float(both_sleep.double().mean()) == pytest.approx(1 / (5 + 1), abs=0.005)
    kept = demands[demands.any(1)]
    first = float(kept[:, :3].any(1).double().mean())
    assert first == pytest.approx(3 / 4 * (n + 1) / n, abs=0.005)


def test_4_9_holds_for_the_demands_that_the_fit_draws():
    # A row of patches: the other half of its demands are intervals, whose chance is counted here.
    n, draws = 4, 4000
    demands = draw_demands(rp.Regions.grid(1, n), draws, 0, "method document")
    for size in range(1, n + 1):
        intervals = [(i, j) for i in range(n) for j in range(i, n)]
        by_interval = sum(i < size for i, _ in intervals) / len(intervals)
        # An empty draw is thrown away with its half, so intervals are a little more than half.
        lost = 1 / (n + 1)
        expected = (by_interval + size / (size + 1)) / (2 - lost)
        woken = float(demands[:, :size].any(1).double().mean())
        assert woken == pytest.approx(expected, abs=0.025)


def test_4_10_random_projections_estimate_influence():
    rng = torch.Generator().manual_seed(0)
    J = torch.randn(12, 5, generator=rng, dtype=torch.float64)
    v = torch.randn(100_000, 12, generator=rng, dtype=torch.float64)
    found = (v @ J).square().mean(0)
    torch.testing.assert_close(found, J.square().sum(0), rtol=0.03, atol=0)


# The document as a page.


def test_all_links_and_pictures_exist():
    targets = re.findall(r"!?\[[^\]]*\]\(([^)]+)\)", TEXT)
    local = [target for target in targets if not target.startswith("https://")]
    assert len(local) >= 7
    for target in local:
        assert (DOCUMENT.parent / target).is_file(), target
    drawn = {path.name for path in (ROOT / "docs" / "images").glob("method_*.png")}
    assert {Path(target).name for target in local if target.endswith(".png")} == drawn
    for path in re.findall(r"`(src/[^`]+)`", TEXT):
        assert (ROOT / path).exists(), path


def test_formulas_survive_markdown():
    text = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    blocks = re.findall(r"^\$\$(.+)\$\$$", text, re.MULTILINE)
    assert text.count("$$") == 2 * len(blocks) >= 10
    text = re.sub(r"^\$\$.+\$\$$", "", text, flags=re.MULTILINE)
    inline = re.findall(r"(?<!\S)\$([^$\s](?:[^$\n]*[^$\s])?)\$(?=[\s.,:?!]|$)", text, re.MULTILINE)
    assert text.count("$") == 2 * len(inline)
    for formula in blocks + inline:
        # Markdown takes the backslash from before punctuation, and cells end at a bar.
        assert not re.search(r"\\[^A-Za-z]", formula), formula
        for left, right in ("{}", "()", "[]"):
            assert formula.count(left) == formula.count(right), formula
        assert formula.count(r"\lVert") == formula.count(r"\rVert")
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        assert all(cell.count("$") % 2 == 0 for cell in row.split("|")), row


def test_sections_that_the_text_refers_to_exist():
    headings = re.findall(r"^#+ (\d+(?:\.\d+)?)", TEXT, re.MULTILINE)
    assert [h for h in headings if "." not in h] == [str(i) for i in range(1, 7)]
    assert [h for h in headings if "." in h] == [f"4.{i}" for i in range(1, 12)]
    for reference in re.findall(r"\b4\.(\d+)\b(?! %)", TEXT):
        assert f"4.{reference}" in headings


def test_the_structured_objective_is_that_of_the_defaults():
    generates, formula = re.findall(r"^\$\$(\\text\{inside error\}.*)\$\$$", TEXT, re.MULTILINE)
    default = rp.Structured()
    assert [float(x) for x in re.findall(r"\+ ([\d.]+) ", generates)] == [
        default.cost_weight,
        default.boundedness_weight,
        default.consistency_weight,
        default.sparsity_weight,
    ]
    assert f"to the power {default.undecided_power:.0f}" in TEXT
    assert f"$t$ is {default.ties_from}" in TEXT
    assert f"(1 - t)^{default.price_decay:.0f}" in generates
    default = rp.Structured(purpose="isolate")
    assert [float(x) for x in re.findall(r"\+ ([\d.]+) \\cdot", formula)] == [
        default.outside_weight,
        default.cost_weight,
        default.boundedness_weight,
        default.consistency_weight,
        default.sparsity_weight,
    ]
    assert "In every step two components" in TEXT
    assert default.trials == 2
    evaluations = default.steps * (default.batch + 2 * default.trials) + 36 * default.probes
    assert "about 5,000 runs" in TEXT
    assert evaluations == pytest.approx(5000, rel=0.03)


def test_4_11_the_or_matrix_is_a_rotation_but_for_two_directions():
    n, masks = 4, torch.arange(2**4)
    disjoint = ((masks[:, None] & masks) == 0).double()
    golden = (1 + 5**0.5) / 2
    promised = golden ** (n - orders(n).double()) * (-1 / golden) ** orders(n).double()
    assert torch.allclose(
        torch.linalg.eigvalsh(disjoint), promised.sort().values, atol=1e-10, rtol=0
    )
    squared = (1 - disjoint) @ (1 - disjoint)
    assert torch.linalg.matrix_rank(squared - disjoint @ disjoint) == 2
