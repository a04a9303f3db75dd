//! A signal of stages of its own: [`write_signal`].

use stratigraph::prelude::*;
use stratigraph::stages::{ComparisonScale, EvidenceKind, Expected, Reading};

/// Layers that write much more than others, a sign of residual sharpening.
pub fn write_signal() -> Signal {
    use Expected::{Often, Rarely};
    let kind = EvidenceKind::new("size of writes", [Often, Rarely, Rarely, Often])
        .characteristic_of([Stage::ResidualSharpening]);
    Signal::new("write_norm", kind, Reading::High(ComparisonScale::Log))
}
