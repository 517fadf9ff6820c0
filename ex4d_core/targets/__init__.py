"""Models other than EX-4D that take a control video: what they are fed with, and clips fitted to that.

``models`` holds the rules as data, a row a model; ``plan`` decides which frames and which size; ``fit`` carries it out on
pictures, masks, paths and sound alike, so that they stay in step.
"""

from .fit import fit_path, fit_pictures, fit_sound
from .models import MODELS, ControlModel, VideoModel
from .plan import RATES, FitPlan, RateChoice, plan_fit

__all__ = [
    "MODELS",
    "RATES",
    "ControlModel",
    "FitPlan",
    "RateChoice",
    "VideoModel",
    "fit_path",
    "fit_pictures",
    "fit_sound",
    "plan_fit",
]
