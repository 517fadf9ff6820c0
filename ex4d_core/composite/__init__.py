"""The artist's own pixels over a generated video: where they were seen well (``weight``), the colours of the video brought to
theirs over time (``match``), and both together (``keep``).
"""

from .keep import Kept, check_pair, keep_seen_pixels
from .settings import BLENDS, Blend, KeepSettings, check_settings

__all__ = ["BLENDS", "Blend", "KeepSettings", "Kept", "check_pair", "check_settings", "keep_seen_pixels"]
