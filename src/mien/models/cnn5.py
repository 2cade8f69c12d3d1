"""The 5-layer CNN of Vepuri 2021 (section VII.A, figure 17), trained from scratch.

The text gives 11,075,847 trainable and 896 non-trainable parameters; this layout has exactly these.
"""

from __future__ import annotations

from torch import Tensor, nn

from mien.models.registry import Normalize, register


class Cnn5(nn.Module):
    """Five convolutions in three stages, three fully connected layers.

    Every convolution pads to the same size and is followed by ReLU; batch normalization comes
    after it, as Keras's `Conv2D(activation="relu")` and `BatchNormalization` order them.
    """

    def __init__(self, size: int, channels: int, classes: int) -> None:
        super().__init__()
        self.normalize = Normalize(0.0, 255.0)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2),
            nn.ReLU(),
            *_stage_end(64),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.ReLU(),
            *_stage_end(128),
            nn.Conv2d(128, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            *_stage_end(256),
        )
        side = size // 8
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256 * side * side, 1024),
            nn.ReLU(),
            nn.Linear(1024, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Keras's default initializer, which the paper's code did not change.
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def embed(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to the features N×512 before the last dropout."""
        x = self.features(self.normalize(images))  # N×256×H/8×W/8
        features: Tensor = self.classifier[:-2](x)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Map what `embed` gives to logits N×classes."""
        logits: Tensor = self.classifier[-2:](features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to logits N×classes."""
        return self.classify(self.embed(images))


def _stage_end(width: int) -> tuple[nn.Module, ...]:
    # Keras's defaults: epsilon 0.001, momentum 0.99 (PyTorch counts it the other way round).
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01), nn.MaxPool2d(2), nn.Dropout(0.2)


@register(
    "cnn5",
    summary="the paper's 5-layer CNN",
    source="Vepuri 2021, doi 10.31979/etd.3wrz-53ee, section VII.A",
)
def cnn5(*, size: int, channels: int, classes: int) -> nn.Module:
    """Build the 5-layer CNN; any size from 8 up changes only the first fully connected layer."""
    return Cnn5(size, channels, classes)
