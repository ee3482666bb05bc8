"""For all tests. Hypothesis is imported before any browser test runs: playwright's greenlets leave CPython 3.11's
compiler with a wrong recursion count, and its pytest plugin would import it as late as in the summary."""

import hypothesis

# Machines of tests are shared: how long one example took says nothing.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")
