"""What in a recorded run depends on what, and which operations an image needs.

Found for any number of cuts in one go: a set of cuts is a whole number whose bit i stands for cut
i, so that a run is gone through a few times however many layers it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regional_primitives.generators.recorded.recording import Operation, Recording


@dataclass(frozen=True)
class Cut:
    """Values that are replaced, and the operation from which on."""

    values: tuple[int, ...]
    start: int = 0


class Behind:
    """What lies behind each of several cuts."""

    def __init__(
        self, recording: Recording, operations: Sequence[Operation], cuts: Sequence[Cut]
    ) -> None:
        self._recording, self._operations = recording, operations
        self.sources: dict[int, int] = defaultdict(int)
        """For each value the cuts that replace it."""
        begins: dict[int, int] = defaultdict(int)
        for i, cut in enumerate(cuts):
            begins[cut.start] |= 1 << i
            for number in cut.values:
                self.sources[number] |= 1 << i
        self.rewritten: dict[int, int] = defaultdict(int)
        """For each memory the cuts on which something depends that is written into it: then it has
        to be made anew in every run, with all that shares it, and so its makers are behind these
        cuts though they may not depend on them."""
        while True:
            before = dict(self.rewritten)
            self.depends = self._dependents(begins)
            if before == self.rewritten:
                break
        self.kept = self._needed()
        """For each operation the cuts that it is behind and whose image needs it."""
        self.made: dict[int, int] = defaultdict(int)
        """For each value the cuts behind which a kept operation makes it."""
        for operation, cuts_of in zip(operations, self.kept, strict=True):
            for number in set(operation.outputs) - set(operation.inputs):
                self.made[number] |= cuts_of

    def _dependents(self, begins: dict[int, int]) -> list[int]:
        """Find for each operation the cuts on which it depends, and what they rewrite."""
        values, found, begun = defaultdict(int, self.sources), [], 0
        storage = self._recording.storage
        self.values = values
        """For each value the cuts on which it depends."""
        for place, operation in enumerate(self._operations):
            begun |= begins.get(place, 0)
            cuts = _union(values, operation.inputs) & begun
            for number in operation.mutated:
                if cuts:
                    self.rewritten[storage(number)] |= cuts
            made = (*operation.outputs, *operation.mutated)
            if self.rewritten:
                cuts |= _union(self.rewritten, map(storage, made)) & begun
            found.append(cuts)
            for number in made if cuts else ():
                values[number] |= cuts
        return found

    def _needed(self) -> list[int]:
        """Of the operations behind each cut, keep those that the image needs."""
        storage, image = self._recording.storage, self._recording.image
        wanted, memory = defaultdict(int, {image: -1}), defaultdict(int, {storage(image): -1})
        kept = []
        for operation, cuts in zip(reversed(self._operations), reversed(self.depends), strict=True):
            writes = _union(memory, map(storage, operation.mutated))
            cuts &= writes | _union(wanted, operation.outputs)
            kept.append(cuts)
            for number in operation.inputs if cuts else ():
                wanted[number] |= cuts
                memory[storage(number)] |= cuts
        return kept[::-1]

    @property
    def reaching(self) -> int:
        """The cuts on which the image depends."""
        image = self._recording.image
        pairs = zip(self._operations, self.depends, strict=True)
        return self.sources[image] | _any(cuts for one, cuts in pairs if image in one.outputs)

    def past(self) -> dict[str, int]:
        """Return for each place from which something of the picture flows past cuts these cuts."""
        varying = of_the_picture(self._recording, self._operations)
        found: dict[int, int] = defaultdict(int)
        for operation, cuts in zip(self._operations, self.kept, strict=True):
            for number in varying.intersection(operation.inputs):
                found[number] |= cuts & ~(self.made[number] | self.sources[number])
        places: dict[str, int] = defaultdict(int)
        for number in sorted(found):
            if found[number]:
                places[origin(self._recording, number)] |= found[number]
        return places


def origin(recording: Recording, number: int) -> str:
    """Say where a value comes from."""
    place = recording.values[number].origin or "the network itself"
    if number in recording.latents:
        return f"input {recording.latents[number]}"
    return f"statistics of {place}" if number in recording.held else place


def of_the_picture(recording: Recording, operations: Sequence[Operation]) -> set[int]:
    """Return all values that depend on the latents, also through memory that is written into."""
    values = set(recording.latents) | recording.held
    memory: set[int] = set()

    def in_memory(numbers: Iterable[int]) -> bool:
        return not memory.isdisjoint(map(recording.storage, numbers))

    for operation in operations:
        numbers = (*operation.inputs, *operation.outputs)
        if not values.isdisjoint(operation.inputs) or (memory and in_memory(numbers)):
            values.update(operation.outputs, operation.mutated)
            memory.update(map(recording.storage, operation.mutated))
    if memory:
        everything = range(len(recording.values))
        values.update(n for n in everything if recording.storage(n) in memory)
    return values


def _union(sets: dict[int, int], keys: Iterable[int]) -> int:
    return _any(sets.get(key, 0) for key in keys)


def _any(sets: Iterable[int]) -> int:
    union = 0
    for one in sets:
        union |= one
    return union
