"""Bodies: whether points are a person (`measures`, `measuring`, `faults`), the hand, hands at rest (`idle_hands`)."""

from signloom.anatomy.faults import FAULTS, Fault, faults_of
from signloom.anatomy.measures import Measures, combined
from signloom.anatomy.measuring import measure, measure_landmarks

__all__ = ["FAULTS", "Fault", "Measures", "combined", "faults_of", "measure", "measure_landmarks"]
