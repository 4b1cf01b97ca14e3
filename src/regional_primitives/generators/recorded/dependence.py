"""What in a recorded run depends on what, and which operations an image needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from regional_primitives.generators.recorded.recording import Operation, Recording


def behind(
    recording: Recording, operations: Sequence[Operation], sources: Iterable[int], start: int
) -> tuple[set[int], tuple[str, ...]]:
    """Find what lies behind values that are given by operation number `start`.

    These are the places of the operations that depend on `sources` and that the image needs, and
    the submodules from which something of the picture flows past `sources` into them.
    """
    features = set(sources)
    places, _ = dependents(recording, operations, features, start)
    if not any(recording.image in operations[i].outputs for i in places):
        return set(), ()
    kept = needed(recording, operations, places, recording.image)
    made = made_by(operations, kept) | features
    varying = of_the_picture(recording, operations)
    read = {number for place in kept for number in operations[place].inputs}
    past = sorted((read & varying) - made)
    return kept, tuple(dict.fromkeys(origin(recording, number) for number in past))


def origin(recording: Recording, number: int) -> str:
    """Say where a value comes from."""
    place = recording.values[number].origin or "the network itself"
    if number in recording.latents:
        return f"input {recording.latents[number]}"
    return f"statistics of {place}" if number in recording.held else place


def dependents(
    recording: Recording, operations: Sequence[Operation], sources: Iterable[int], start: int = 0
) -> tuple[set[int], set[int]]:
    """Find the operations, from number `start`, that depend on `sources`, and what they rewrite.

    A storage that is written into by one of them depends too, with all that shares it, and has to
    be made anew in every run: its makers are among them, though they may not depend on `sources`.
    """
    rewritten: set[int] = set()
    sources = set(sources)
    while True:
        before = len(rewritten)
        values, places = set(sources), set()
        for place in range(start, len(operations)):
            operation = operations[place]
            made = (*operation.outputs, *operation.mutated)
            if not values.isdisjoint(operation.inputs):
                rewritten.update(map(recording.storage, operation.mutated))
            elif not (rewritten and _in_memory(recording, made, rewritten)):
                continue
            places.add(place)
            values.update(made)
        if len(rewritten) == before:
            return places, rewritten


def needed(
    recording: Recording, operations: Sequence[Operation], behind: set[int], image: int
) -> set[int]:
    """Of the operations behind the cut, keep those that the image needs."""
    wanted, memory = {image}, {recording.storage(image)}
    kept: set[int] = set()
    for place in sorted(behind, reverse=True):
        operation = operations[place]
        writes = _in_memory(recording, operation.mutated, memory)
        if writes or not wanted.isdisjoint(operation.outputs):
            kept.add(place)
            wanted.update(operation.inputs)
            memory.update(map(recording.storage, operation.inputs))
    return kept


def made_by(operations: Sequence[Operation], places: Iterable[int]) -> set[int]:
    """Return the values that operations make, without those that they only pass on."""
    return {
        number
        for place in places
        for number in set(operations[place].outputs) - set(operations[place].inputs)
    }


def of_the_picture(recording: Recording, operations: Sequence[Operation]) -> set[int]:
    """Return all values that depend on the latents, also through memory that is written into."""
    values = set(recording.latents) | recording.held
    memory: set[int] = set()
    for operation in operations:
        numbers = (*operation.inputs, *operation.outputs)
        if not values.isdisjoint(operation.inputs) or (
            memory and _in_memory(recording, numbers, memory)
        ):
            values.update(operation.outputs, operation.mutated)
            memory.update(map(recording.storage, operation.mutated))
    if memory:
        everything = range(len(recording.values))
        values.update(n for n in everything if recording.storage(n) in memory)
    return values


def _in_memory(recording: Recording, numbers: Iterable[int], memory: set[int]) -> bool:
    return any(recording.storage(number) in memory for number in numbers)
