"""What the tests of the classroom share."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


@pytest.fixture
def displayed():
    """Captures what a cell would show: a list of (data, metadata) bundles."""
    InteractiveShell.instance()

    def run(action):
        with capture_output() as seen:
            action()
        return [(out.data, out.metadata) for out in seen.outputs]

    return run
