"""The part behind a cut, recorded: one run written down, what the picture needs of it kept.

A recording of one run (recording) is compared with one of another batch size (batch), what depends
on the feature and leads to the image is found (dependence) and written as one flat function
(program) that writes into no input where it need not (inplace). A run of the picture alone gives
what flows past; then the function is checked against the whole network (tail). Several pictures
may share a batch (mixed).
"""

from regional_primitives.generators.recorded.mixed import MixedTail
from regional_primitives.generators.recorded.program import SideInput
from regional_primitives.generators.recorded.tail import RecordedTail, Tail, tail_of

__all__ = ["MixedTail", "RecordedTail", "SideInput", "Tail", "tail_of"]
