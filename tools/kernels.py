"""A kernel to run cells in, one by one and in any order, as a student does: with outputs, and with
the Stop button.
"""

import os
import tempfile
import threading
from pathlib import Path

import common
from common import FIXED, ROOT
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode
from nbformat.v4 import new_output, output_from_msg

NO_NETWORK = ROOT / "tests" / "no_network"


class Kernel:
    """A fresh kernel of this very Python in the course's settings, without a network; ends with its
    `with`.

    `pid` is that of its process.
    """

    def __init__(self, folder: Path, env: dict[str, str] | None = None):
        self.folder = folder
        self.env = env or {}

    def __enter__(self) -> "Kernel":
        # no start-up files of the user, no shared history
        self._ipython = tempfile.TemporaryDirectory()
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
        path = os.pathsep.join(filter(None, [str(NO_NETWORK), os.environ.get("PYTHONPATH")]))
        env = {
            **os.environ,
            **FIXED,
            "IPYTHONDIR": self._ipython.name,
            "PYTHONPATH": path,
            **self.env,
        }
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(
            cwd=str(self.folder), env=env, extra_arguments=["--log-level=ERROR"]
        )
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=common.patience(120))
        except RuntimeError:
            self.__exit__()
            raise
        self.pid = self.manager.provisioner.pid
        return self

    def __exit__(self, *error: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self._ipython.cleanup()

    def run(self, source: str, interrupt_after: float | None = None) -> list[NotebookNode]:
        """Runs a cell and returns its outputs; an error is one of them. Raises TimeoutError where
        it hangs.

        interrupt_after: the seconds from the cell's start until Stop is pressed, if the cell is
        still running then.
        """
        outputs: list[NotebookNode] = []

        def keep(message: dict) -> None:
            if message["msg_type"] == "execute_input" and interrupt_after is not None:
                stop.start()
            if message["msg_type"] not in ("stream", "display_data", "execute_result", "error"):
                return
            output = output_from_msg(message)
            last = outputs[-1] if outputs else None
            if (
                last
                and output.output_type == last.output_type == "stream"
                and output.name == last.name
            ):
                last.text += output.text
            else:
                outputs.append(output)

        stop = threading.Timer(interrupt_after or 0, self.manager.interrupt_kernel)
        stop.daemon = True
        try:
            reply = self.client.execute_interactive(
                source, allow_stdin=False, output_hook=keep, timeout=common.patience(600)
            )
        except TimeoutError:
            raise TimeoutError(f"the cell that begins with {source[:80]!r} hangs") from None
        finally:
            stop.cancel()
        content = reply["content"]
        if (
            content["status"] == "error" and error_of(outputs) is None
        ):  # IPython could not show it, and printed it as text
            outputs.append(
                new_output("error", ename=content["ename"], evalue=content["evalue"], traceback=[])
            )
        return outputs


def error_of(outputs: list[NotebookNode]) -> str | None:
    """ "Name: message" of the error in a cell's outputs, or None."""
    return next((f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"), None)
