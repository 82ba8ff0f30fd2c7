"""How good a judge is: evaluated on labelled calls, compared, tuned (``bargein[evaluate]``)."""

from .dataset import LABELS, Dataset, LabelledCall, LabelledOverlap, Problem, Track
from .evaluator import Candidate, Comparison, Evaluation, evaluate
from .figures import Moment, Point, Rate
from .intervals import Resampling
from .paired import Difference
from .read import check_dataset, read_dataset
from .store import default_folder

__all__ = [
    "LABELS",
    "Candidate",
    "Comparison",
    "Dataset",
    "Difference",
    "Evaluation",
    "LabelledCall",
    "LabelledOverlap",
    "Moment",
    "Point",
    "Problem",
    "Rate",
    "Resampling",
    "Track",
    "check_dataset",
    "default_folder",
    "evaluate",
    "read_dataset",
]
