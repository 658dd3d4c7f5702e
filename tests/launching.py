"""Start a script on two processes of this machine's CPU, as `accelerate launch` does on several
GPUs.
"""

import os
import socket
import subprocess
import sys

from common import patience


def two_processes(script, *arguments, timeout=600):
    """Standard output of `accelerate launch SCRIPT ARGUMENTS…` on two processes; fails where the
    script does.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # With --cpu accelerate starts one process (several would need MPI): so --multi_gpu, and the
    # processes are told to use the CPU.
    launch = [
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
        "--mixed_precision=no",
        "--dynamo_backend=no",
    ]
    command = [
        sys.executable,
        "-m",
        *launch,
        f"--main_process_port={port}",
        str(script),
        *map(str, arguments),
    ]
    env = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "COURSE_QUIET": "1"}
    two = subprocess.run(
        command, capture_output=True, text=True, env=env, timeout=patience(timeout)
    )
    assert two.returncode == 0, two.stderr[-3000:]
    return two.stdout
