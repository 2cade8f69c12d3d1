"""What `mien export` says when a file is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.common import Output

if TYPE_CHECKING:
    from mien.evaluation.calibration import Calibration
    from mien.export.forms import Exported, Form
    from mien.export.parity import Figures, Parity


def present(
    out: Output,
    target: str,
    form: Form,
    exported: Exported,
    difference: float,
    fitted: Calibration | None,
    *,
    as_json: bool,
) -> None:
    """Print what was written and measured.

    Args:
        out: where to.
        target: the file.
        form: of the file.
        exported: what was measured of it.
        difference: the largest one between network and plain file on random images.
        fitted: what the file is calibrated with.
        as_json: everything as JSON in place of text.
    """
    from mien.files import sha256

    size, parity = Path(target).stat().st_size, exported.parity
    if as_json:
        out.json(
            {
                "file": target,
                "bytes": size,
                "sha256": sha256(target),
                "precision": form.precision,
                "largest_difference": difference,
                "temperature": None if fitted is None else fitted.temperature,
                "input": exported.input or None,
                "parity": None if parity is None else parity.to_dict(),
                "pays": None if parity is None else parity.pays,
            }
        )
        return
    calibrated = "" if fitted is None else f"  calibrated, temperature {fitted.temperature:.3f}"
    precise = form.precision == "float32"
    off = f"largest difference {difference:.1e}" if precise else form.precision
    out.result(f"{target}  {size / 1e6:.2f} MB  {off}{calibrated}")
    if exported.input:
        _print_input(out, exported.input)
    if parity is not None:
        _print_parity(out, parity)
        if form.precision == "int8":
            _print_rule(out, parity)
    elif not precise:
        out.note("how good the file is was not measured; --data DIR does")


def _print_input(out: Output, told: dict[str, Any]) -> None:
    levels, share = (told["largest_difference"][key] for key in ("levels", "share"))
    shape = "N×H×W×3 (RGB)" if told["crops"] == "rgb" else "N×H×W (gray)"
    out.result(f"takes crops of any size, uint8 {shape}; inside: {', '.join(told['inside'])}")
    out.result(
        "which is mien's own preprocessing to the gray level"
        if not levels
        else f"which differs from mien's own preprocessing in {share:.3%} of the values, by "
        f"{levels} of 255 gray levels at most"
    )


def _print_parity(out: Output, parity: Parity) -> None:
    out.result(f"{parity.split}: {parity.images:,} images")
    columns = ("", "accuracy", "balanced", "calibration error", "size", "faces/s")
    out.table(columns, [_row(side) for side in (parity.before, parity.after)])
    out.result(
        f"largest difference of a probability {parity.largest_difference:.2g}, another emotion "
        f"first for {parity.changed:.2%} of the images; faces/s in batches of 64, "
        f"{parity.threads} thread{'s' * (parity.threads != 1)}"
    )


def _row(side: Figures) -> tuple[str, ...]:
    return (
        side.title,
        f"{side.accuracy:.2%}",
        f"{side.balanced_accuracy:.2%}",
        f"{side.calibration_error:.2%}",
        "–" if side.bytes is None else f"{side.bytes / 1e6:.2f} MB",
        f"{side.faces_per_second:,.0f}",
    )


def _print_rule(out: Output, parity: Parity) -> None:
    from mien.export.parity import LARGEST_LOSS, LEAST_SPEEDUP

    out.result(
        f"int8 {'pays' if parity.pays else 'does not pay'}: {parity.speedup:.2f} times as fast (at "
        f"least {LEAST_SPEEDUP}), {100 * parity.loss:.2f} points lost (less than "
        f"{100 * LARGEST_LOSS:.1f})"
    )
