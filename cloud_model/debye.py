"""The Debye functions under their public name; see `cloud_model.physics.debye`."""

from cloud_model.physics.debye import *  # noqa: F403
from cloud_model.physics.debye import __all__ as __all__
