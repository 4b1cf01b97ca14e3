"""shapiq's sums of unanimity games, whose coefficients are known: transforms, sparse form, answers.

v(S) = Σ_k c_k [T_k ⊆ S] is the AND form with c_k at T_k. Its dual u(S) = v(N) − v(N∖S) is the OR
form with the same coefficients: v(N∖S) lacks just those T_k that S meets.
"""

import pytest
import shapiq
import torch
from shapiq_games.synthetic import SOUM

import regional_primitives as rp
from regional_primitives.decompose.exact.sparse_or import sparsest
from regional_primitives.errors import InputError
from regional_primitives.others import Interactions
from regional_primitives.setfunctions import and_harsanyi, and_values, membership, or_values


def known(game):
    """Write a game's coefficients as an array by bitmask."""
    found = torch.zeros(2**game.n_players, dtype=torch.float64)
    for players, coefficient in game.moebius_coefficients.dict_values.items():
        found[sum(1 << int(player) for player in players)] = coefficient
    return found


def played(game):
    """Ask a game for the values of all coalitions."""
    return torch.as_tensor(game(membership(game.n_players).numpy()), dtype=torch.float64)


@pytest.mark.parametrize(("n", "games"), [(1, 2), (3, 5), (6, 20), (9, 60), (12, 40)])
def test_transforms_find_the_coefficients(n, games):
    game = SOUM(n, games, random_state=n)
    values, coefficients = played(game), known(game)
    torch.testing.assert_close(and_harsanyi(values), coefficients, rtol=0, atol=1e-12)
    torch.testing.assert_close(and_values(coefficients), values, rtol=0, atol=1e-12)
    dual = values[-1] - values.flip(0)
    torch.testing.assert_close(rp.or_harsanyi(dual)[1:], coefficients[1:], rtol=0, atol=1e-12)
    coefficients[0] = 0  # what the empty coalition is worth is in every value, and cancels
    torch.testing.assert_close(or_values(coefficients), dual, rtol=0, atol=1e-12)


def test_the_sparse_form_finds_them_in_noise():
    """Nine patches, one game a unit; noise of 0.02 on values whose coefficients are up to 1."""
    games = [
        SOUM(9, 4, min_interaction_size=1, max_interaction_size=3, random_state=seed)
        for seed in range(24)
    ]
    truth = torch.stack([known(game) for game in games], 1).float()
    noisy = or_values(truth)
    noisy[1:] += 0.02 * torch.randn(511, 24, generator=torch.Generator().manual_seed(0))

    def off(found):
        return float((found - truth).norm() / truth.norm())

    assert off(rp.or_harsanyi(noisy)) > 2  # noise alone
    found = sparsest(noisy, rp.Exact(smallest_strength=0.0))
    assert off(found) < 0.05
    assert found[truth == 0].abs().max() < 0.05


def test_coefficients_are_an_answer(made, component_of):
    """Taken as they come: shapiq names the players of this game by NumPy's whole numbers."""
    game = SOUM(4, 6, min_interaction_size=1, random_state=3)
    found = made(Interactions(game.moebius_coefficients))
    again = made(Interactions(shapiq.ExactComputer(game, 4)("Moebius")))
    assert found.action_fields.equal(again.action_fields)
    assert found.strengths.allclose(again.strengths, rtol=1e-4)
    with pytest.raises(InputError, match="the game has 5 players, the picture 4 patches"):
        made(Interactions(SOUM(5, 6, random_state=3).moebius_coefficients))
