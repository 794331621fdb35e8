"""A training from its request to its end: used by the commands and by the app alike, without either."""

from cifar_tui.session.core import Session
from cifar_tui.session.request import TrainRequest

__all__ = ["Session", "TrainRequest"]
