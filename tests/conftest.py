"""What every test runs under: no network, and property tests that judge results and not the speed of the machine."""

import os

# Read once, when huggingface_hub is imported: a name that is not local fails at once, not after five retries.
os.environ["HF_HUB_OFFLINE"] = "1"

from hypothesis import HealthCheck, settings

# `differing_executors`: the shared model tester's property tests are inherited by every method's class.
settings.register_profile(
    "ifl-hub",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
# The same examples in every run, so that a red run is somebody's change; HYPOTHESIS_PROFILE=ifl-hub draws new ones.
settings.register_profile("repeatable", settings.get_profile("ifl-hub"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
