"""Sources are read with the second device's name in the place of "cuda"; nothing else of them
changes.
"""

import ast

import pytest

from second_device.reading import Names


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("x.to('cuda')", "x.to('second')"),
        ("x.device.type in ('cpu', 'cuda')", "x.device.type in ('cpu', 'second')"),
        ("torch.cuda.synchronize()", "torch.second.synchronize()"),
        ("torch.device('cuda:0')", "torch.device('second:0')"),
        ("print('no cuda here')", "print('no cuda here')"),
        ("f'{device} cuda'", "f'{device} cuda'"),
        ("machines.cuda", "machines.cuda"),
        (
            "torch.backends.cuda.matmul.allow_tf32 = True",
            "torch.backends.cuda.matmul.allow_tf32 = True",
        ),
    ],
)
def test_cuda_is_read_as_the_second_device(source, read):
    assert ast.unparse(Names("cuda", "second").visit(ast.parse(source))) == read


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("torch.backends.mps.is_available()", "torch.second.is_available()"),
        ("torch.mps.synchronize()", "torch.second.synchronize()"),
        ("torch.cuda.is_available()",) * 2,
    ],
)
def test_mps_is_read_as_the_second_device(source, read):
    assert ast.unparse(Names("mps", "second").visit(ast.parse(source))) == read
