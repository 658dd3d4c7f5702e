"""What the course runs on: devices that tensors are on, number formats that they compute in,
versions that are installed.
"""
