"""A small trainer: behaviour cloning and advantage-weighted regression, to an ONNX file.

``bevy-experience train DATASET --recording fighter --out fighter.onnx`` runs it; `fit` and `export`
are its parts. Needs the extra ``train``.
"""

from . import report
from .export import export
from .fit import Fitted, Settings, fit
from .heads import HeadScore
from .policy import Policy

__all__ = ["Fitted", "HeadScore", "Policy", "Settings", "export", "fit", "report"]
