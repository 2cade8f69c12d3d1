"""A run's network as what turns images into embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien.images.preprocessing import Preprocessing
from mien.models.embedding import embed
from mien.training.run import Run, to_device_layout


class RunEmbedder:
    """An embedder (see `mien.evaluation.embeddings`) of a trained network, on the CPU."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.preprocessing = preprocessing

    @torch.inference_mode()
    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map a preprocessed uint8 batch to float32 N×width; see `mien.models.embedding.embed`."""
        batch = to_device_layout(images).float().contiguous(memory_format=torch.channels_last)
        vectors: NDArray[np.float32] = embed(self.network, batch).numpy()
        return vectors


def load_embedder(folder: Path | str) -> RunEmbedder:
    """Return the embedder of a run folder, with the weights of its best epoch.

    Raises:
        MienError: the folder is no run or has no weights yet.
    """
    run = Run(folder)
    return RunEmbedder(run.network(), run.recipe().input.preprocessing())
