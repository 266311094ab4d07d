"""The Space: the demo of ifl-hub; the variable IFL_HUB_MODEL names the model that it offers first."""

import os

from ifl_hub.demo import launch_demo

launch_demo(os.environ.get("IFL_HUB_MODEL", "safl-net-lite0"))
