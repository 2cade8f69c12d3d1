"""mien reads facial expressions.

Importing it and predicting with it need neither torch nor the network.
"""

from mien.emotions import EMOTIONS
from mien.version import __version__

__all__ = ["EMOTIONS", "__version__"]
