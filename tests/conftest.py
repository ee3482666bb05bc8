"""For all tests. Hypothesis is imported before any browser test runs: playwright's greenlets leave CPython 3.11's
compiler with a wrong recursion count, and its pytest plugin would import it as late as in the summary."""

import hypothesis  # noqa: F401
