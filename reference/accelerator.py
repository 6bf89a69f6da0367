"""Accelerators as torch.accelerator knows them: whether torch sees one of a type, and what it is called.

CUDA has been run; mps (Apple) and xpu (Intel) have not, no machine here has one.
"""

import torch


def sees(device: str) -> bool:
    """Whether torch can use an accelerator of this type here; a process has one type at most."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found is not None and found.type == device


def name(device: str) -> str:
    """What the first accelerator of this type is called."""
    if device == "mps":
        return torch.backends.mps.get_name()
    return torch.get_device_module(device).get_device_name()
