//! Extensions of Stratigraph by a crate that sees only its public API: a metric ([`Doubt`]), a sweep with axes of its own
//! ([`skips`]), a measurement ([`WriteNorm`]), a signal of stages ([`write_signal`]), a figure ([`write_figure`]) and a family
//! of checkpoints ([`my_llama`]).

mod family;
mod figure;
mod measurement;
mod metric;
mod signal;
mod sweep;

use stratigraph::prelude::*;

pub use family::my_llama;
pub use figure::write_figure;
pub use measurement::WriteNorm;
pub use metric::Doubt;
pub use signal::write_signal;
pub use sweep::skips;

/// Studies a model with every extension; the stages are found with the signal too.
///
/// # Errors
/// When the model does not offer what the measurement needs, or the windows do not fit it.
pub fn study(model: &dyn ResidualModel, windows: &TokenWindows) -> Result<Profile, Box<dyn std::error::Error>> {
    let findings =
        Study::paper(model).with_names("tiny", "sample.txt").metric(Doubt).add(skips()).add(WriteNorm).run(windows)?;
    let profile = findings.into_profile_without_stages();
    let rule = Rule::default();
    let signals = Signal::standard(&rule).into_iter().chain([write_signal()]).collect();
    let stages = Segmenter::new(rule).with_signals(signals)?.segment(&profile);
    Ok(profile.with_stages(stages))
}
