"""Where a training computes, and which of its processes writes."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only

from mien.errors import MienError

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Device:
    """Where and how a run computes.

    Attributes:
        accelerator: as Fabric names it: `auto`, `cpu`, `cuda`, …
        devices: how many; more than one trains data-parallel, started by Fabric.
        precision: `auto` is bf16 mixed precision on a GPU and float32 elsewhere, since bf16 is
            slower than float32 on CPUs without instructions for it.
        compiled: a step goes through `torch.compile`; see `docs/training-speed.md`.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: Precision = "auto"
    compiled: bool = False

    def resolved_precision(self) -> str:
        """Return the precision that `auto` stands for here, or the one that was asked for."""
        if self.precision != "auto":
            return self.precision
        on_gpu = self.accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
        return "bf16-mixed" if on_gpu else "32-true"

    def fabric(self) -> Any:
        """Return the Fabric, not yet launched.

        Raises:
            MienError: there are no such devices, they do not know the precision, or a step cannot
                be compiled.
        """
        if self.compiled and not shutil.which(_compiler()):
            raise MienError(
                f"compiling needs a C++ compiler, and {_compiler()} was not found",
                hint="install one, name it in the variable CXX, or leave out --compile",
            )
        precision: Any = self.resolved_precision()
        # cuDNN may choose kernels whose sums differ from run to run; the same seed shall repeat.
        torch.backends.cudnn.deterministic = True
        # TF32 for what autocast leaves in float32: Muon's products. It is set for the process, in
        # which a run in another precision may have come before.
        torch.set_float32_matmul_precision("highest" if precision == "32-true" else "high")
        try:
            return Fabric(accelerator=self.accelerator, devices=self.devices, precision=precision)
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            raise MienError(
                f"cannot train with the accelerator {self.accelerator}, devices {self.devices}, "
                f"precision {precision}: {error}"
            ) from error


def _compiler() -> str:
    """Return the name by which PyTorch looks for a C++ compiler."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return os.environ.get("CXX", usual)


def is_first_process() -> bool:
    """Say whether this is the process that writes: the only one, or the first of many devices."""
    # Set from the launcher's variables when Fabric is imported.
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
