"""AND and OR Harsanyi interactions of set functions, the OR ones after arXiv 2410.04421.

A set function v gives every subset S of the n patches N a value, here a tensor. It is stored as
one array [2ⁿ, ...] indexed by bitmask (see `subsets`). Two exact ways to write it as a sum of
one component per subset T:

    AND   v(S) = Σ_{T⊆S} I_and(T)                  T adds its share once all its patches are in S
    OR    v(S) = I_or(∅) + Σ_{T∩S≠∅} I_or(T)       T adds its share once any of its patches is

with

    I_and(T) = Σ_{L⊆T} (−1)^{|T|−|L|} v(L)
    I_or(T)  = −Σ_{L⊆T} (−1)^{|T|−|L|} v(N∖L)  for T ≠ ∅,      I_or(∅) = v(∅)

**Why the signs alternate.** Take the OR case, and let w(L) = v(N) − v(N∖L): what can be switched
off once nobody asks for the patches in L any more. For one patch, w({i}) is what i alone kept
alive. Dropping i and j together frees more than the two single drops: the extra,
w({i,j}) − w({i}) − w({j}), is what was alive because of i or j, either one being enough. For
three patches the same subtraction takes away three singles and three pairs, but every single is
in two of the pairs and in the pairs' own subtraction, so it has to be put back:
w({i,j,k}) − (three pairs) + (three singles). That is inclusion and exclusion, and the alternating
sign is nothing else. So I_or is the AND transform of w, and one fast transform serves both.

**How it is computed.** A subset sum over n patches is n passes, one a patch: pair every S
without the patch with S ∪ {patch}, and subtract (or add) one of the pair from the other. That is
n·2ⁿ⁻¹ subtractions of whole values, against 3ⁿ terms by the formula and 4ⁿ for a dense matrix.
On a CPU the passes run block by block, so that most of them find their data in the cache, on as
many threads as torch.get_num_threads() says.

Only additions and subtractions occur: float32 input that holds whole numbers comes out exact as
long as no partial sum passes 2²⁴. NaN and infinity are not looked for (a scan would cost a pass);
they propagate to the results that depend on them, and in `or_values` to all but v(∅).

All four functions are linear, return a new tensor and leave their input alone. They can be
differentiated any number of times: the backward pass is the transposed transform, equally fast.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from regional_primitives.errors import InputError
from regional_primitives.runtime.modes import ordinary

# Blocks of 2 MiB: a few of them fit the cache that the cores share, and each pass is long enough
# that threads, which hand the interpreter over between passes, do not get in each other's way.
_BLOCK_BYTES = 1 << 21
# Passes over distant rows: 2⁵ rows at a time leave contiguous pieces of 64 KiB in a block.
_GROUP_BITS = 5

_Operation = Literal["add", "subtract"]
_Changed = Literal["lower", "upper"]
_Start = Literal["as given", "complement", "freed"]


def and_harsanyi(values: Float[Tensor, " subsets *shape"]) -> Float[Tensor, " subsets *shape"]:
    """Return the AND interactions I(T) = Σ_{L⊆T} (−1)^{|T|−|L|} v(L) of a set function.

    `values` are v(S), float32 or float64, [2**n, ...] indexed by bitmask. The result is
    indexed alike, of the same shape, dtype and device.

    Raises:
        InputError: not a tensor, not float32 or float64, or its length is not a power of two.
    """
    return _transform(values, "and_harsanyi")


def and_values(interactions: Float[Tensor, " subsets *shape"]) -> Float[Tensor, " subsets *shape"]:
    """Return the set function v(S) = Σ_{T⊆S} I(T) of AND interactions; inverts `and_harsanyi`.

    `interactions` are I(T), float32 or float64, [2**n, ...] indexed by bitmask. The result is
    indexed alike, of the same shape, dtype and device.

    Raises:
        InputError: not a tensor, not float32 or float64, or its length is not a power of two.
    """
    return _transform(interactions, "and_values")


def or_harsanyi(values: Float[Tensor, " subsets *shape"]) -> Float[Tensor, " subsets *shape"]:
    """Return the OR interactions I(T) = −Σ_{L⊆T} (−1)^{|T|−|L|} v(N∖L), I(∅) = v(∅).

    Applied to minimal features u(S), these are the feature components Δf_T of arXiv 2410.04421,
    and I(∅) is the baseline feature. The module's text says in words why the signs alternate.

    `values` are v(S), float32 or float64, [2**n, ...] indexed by bitmask. The result is
    indexed alike, of the same shape, dtype and device.

    Raises:
        InputError: not a tensor, not float32 or float64, or its length is not a power of two.
    """
    return _transform(values, "or_harsanyi")


def or_values(interactions: Float[Tensor, " subsets *shape"]) -> Float[Tensor, " subsets *shape"]:
    """Return the set function v(S) = I(∅) + Σ_{T∩S≠∅} I(T); inverts `or_harsanyi`.

    `interactions` are I(T), float32 or float64, [2**n, ...] indexed by bitmask. The result is
    indexed alike, of the same shape, dtype and device.

    Raises:
        InputError: not a tensor, not float32 or float64, or its length is not a power of two.
    """
    return _transform(interactions, "or_values")


@ordinary(gradients=False)
def _transform(values: Tensor, name: str) -> Tensor:
    if not isinstance(values, Tensor):
        raise InputError(
            f"a set function has to be a torch tensor [2**n, ...] indexed by bitmask, "
            f"got {type(values).__name__}; torch.as_tensor converts arrays and lists"
        )
    if values.dtype not in (torch.float32, torch.float64):
        raise InputError(
            f"a set function has to be float32 or float64, got {values.dtype}; "
            "convert it with .float() or .double()"
        )
    count = values.shape[0] if values.ndim else 0
    if count < 1 or count & (count - 1):
        raise InputError(
            f"a set function over n patches has 2**n values along its first axis, "
            f"got shape {list(values.shape)}; give one value per subset, indexed by bitmask"
        )
    result: Tensor = _Linear.apply(values, name)
    return result


class _Linear(torch.autograd.Function):
    """A transform by its name; its derivative is the transposed transform, itself one of these."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, name: str) -> Tensor:
        ctx.name = name
        count = values.shape[0]
        if not values.numel():
            return torch.empty_like(values)
        transform, _ = _TRANSFORMS[name]
        return transform(values.reshape(count, values.numel() // count)).view(values.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        _, transposed = _TRANSFORMS[ctx.name]
        return _Linear.apply(grads[0], transposed), None


# From here on: arrays [subsets, width], of two axes and not empty.


def _or_harsanyi(values: Tensor) -> Tensor:
    result = _sweep(values, "subtract", "upper", "freed")
    result[0] = values[0]
    return result


def _or_harsanyi_transposed(grads: Tensor) -> Tensor:
    # S ↦ N∖S turns "subsets of" into "supersets of", hence the sum is symmetric in T and S:
    # both ask for N∖S ⊆ T. Only the ∅ row of the transform, a copy of v(∅), has no such twin.
    result = _sweep(grads, "subtract", "upper", "freed")
    if len(grads) > 1:
        result[-1] += grads[0]
        result[0] = grads[0] - grads[-1]
    else:
        result[0] = grads[0]
    return result


def _or_values(interactions: Tensor) -> Tensor:
    result = _missed(interactions)
    torch.sub(result[0] + interactions[0], result, out=result)
    result[0] = interactions[0]
    return result


def _or_values_transposed(grads: Tensor) -> Tensor:
    result = _missed(grads)
    total = result[0].clone()
    torch.sub(total, result, out=result)
    result[0] = total
    return result


def _missed(interactions: Tensor) -> Tensor:
    """Σ_{T⊆N∖S} I(T): what S asks for none of. For S = ∅ that is the sum of everything."""
    return _sweep(interactions, "add", "lower", "complement")


def _sweep(
    source: Tensor, operation: _Operation, changed: _Changed, start: _Start = "as given"
) -> Tensor:
    """Return a copy of the source, or of a game made from it, after one pass for each patch.

    Each pass adds or subtracts, of every pair of rows that differ in the patch, one from the other:
    the upper row, which holds the patch, changes, or the lower one.

    start: "complement" sweeps S ↦ v(N∖S), "freed" sweeps w(S) = v(N) − v(N∖S).
    """
    sweep = _sweep_blocks if source.device.type == "cpu" else _sweep_whole
    return sweep(source, partial(_passes, operation, changed), start)


def _sweep_blocks(source: Tensor, passes: Callable[..., None], start: _Start) -> Tensor:
    # NumPy and not torch, for three reasons: its calls cost a fifth of torch's, which is most of
    # the time of a small transform; it reads rows backwards without a copy; and its blocks can
    # be given to threads that never wait for each other. Torch's own threads meet after every
    # pass, 400 times for 64 MiB, and on a machine with other work each meeting costs a time slice.
    count, width = source.shape
    n = count.bit_length() - 1
    given = source.detach().resolve_neg().numpy()
    result = torch.empty(count, width, dtype=source.dtype)
    array = result.numpy()
    block_numbers = _BLOCK_BYTES // source.element_size()
    rows = min(count, 1 << max(block_numbers // width, 1).bit_length() - 1)

    def low_bits(first: int) -> None:
        block = array[first : first + rows]
        with np.errstate(all="ignore"):
            if start == "as given":
                block[:] = given[first : first + rows]
            else:
                opposite = given[count - first - rows : count - first][::-1]
                if start == "freed":
                    np.subtract(given[-1], opposite, out=block)
                else:
                    block[:] = opposite
            passes(np, block)

    def high_bits(block: NDArray[np.floating[Any]]) -> None:
        with np.errstate(all="ignore"):
            passes(np, block)

    if rows == count:
        low_bits(0)
        return result
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        # The low bits: whole runs of rows, copied in and passed over while still in the cache.
        list(pool.map(low_bits, range(0, count, rows)))
        # The high bits, a few at a time: rows far apart, as many columns as fill a block.
        done = rows.bit_length() - 1
        while done < n:
            bits = min(n - done, _GROUP_BITS)
            columns = max(block_numbers >> bits, 1)
            groups = array.reshape(-1, 1 << bits, width << done)
            firsts = range(0, width << done, columns)
            list(pool.map(high_bits, (g[:, c : c + columns] for g in groups for c in firsts)))
            done += bits
    return result


def _sweep_whole(source: Tensor, passes: Callable[..., None], start: _Start) -> Tensor:
    # An accelerator gains nothing from blocks, and each launch costs.
    if start == "as given":
        result = source.clone(memory_format=torch.contiguous_format)
    else:
        result = source.flip(0).contiguous()
        if start == "freed":
            torch.subtract(source[-1], result, out=result)
    passes(torch, result)
    return result


def _passes(operation: _Operation, changed: _Changed, library: Any, block: Any) -> None:
    """One pass per bit of the row index, in place; an array and the library it belongs to."""
    count, width = block.shape
    run, one, half = getattr(library, operation), int(changed == "upper"), 1
    while half < count:
        pairs = block.reshape(count // (2 * half), 2, half, width)
        run(pairs[:, one], pairs[:, 1 - one], out=pairs[:, one])
        half *= 2


_TRANSFORMS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    # name: (what it does, the name of its transpose)
    "and_harsanyi": (lambda x: _sweep(x, "subtract", "upper"), "and_harsanyi transposed"),
    "and_harsanyi transposed": (lambda x: _sweep(x, "subtract", "lower"), "and_harsanyi"),
    "and_values": (lambda x: _sweep(x, "add", "upper"), "and_values transposed"),
    "and_values transposed": (lambda x: _sweep(x, "add", "lower"), "and_values"),
    "or_harsanyi": (_or_harsanyi, "or_harsanyi transposed"),
    "or_harsanyi transposed": (_or_harsanyi_transposed, "or_harsanyi"),
    "or_values": (_or_values, "or_values transposed"),
    "or_values transposed": (_or_values_transposed, "or_values"),
}
