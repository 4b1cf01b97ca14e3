"""What one would do instead: other explanations of the same picture, scored on the same demands."""

from regional_primitives.rivals.compare import (
    BASELINES,
    Compared,
    Comparison,
    Point,
    baselines,
)

__all__ = ["BASELINES", "Compared", "Comparison", "Point", "baselines"]
