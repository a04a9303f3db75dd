//! Whether a model predicts its text at all: [`Loss`].

use stratigraph_profile::{Axis, Curve, Profile};

/// The loss of the unchanged model, in nats a token, with its standard error.
#[derive(Clone, Copy)]
pub(crate) struct Loss {
    nll: f64,
    sem: Option<f64>,
}

impl Loss {
    /// That of a profile, or the end of its lens; none where neither is a number.
    pub(crate) fn from_profile(profile: &Profile) -> Option<Self> {
        let finite =
            |nll: f64, sem: Option<f64>| nll.is_finite().then(|| Self { nll, sem: sem.filter(|sem| sem.is_finite()) });
        let known = profile.values.get("clean_nll").and_then(|estimate| finite(estimate.mean, estimate.sem));
        let positions = Axis::residual_positions(profile.model.n_layers);
        let whole = |curve: &&Curve| curve.axis == positions && curve.len() == positions.len();
        let of_lens = || profile.curves.get("lens_nll").filter(whole)?.estimates().last();
        known.or_else(|| of_lens().and_then(|last| finite(last.mean, last.sem)))
    }

    /// Why the model has no stages of inference where its loss is not better, by two standard errors, than that of a uniform
    /// guess over its vocabulary.
    pub(crate) fn objection(self, d_vocab: usize) -> Option<String> {
        let (Self { nll, sem }, uniform) = (self, (d_vocab as f64).ln());
        let error = sem.map(|sem| format!(" ± {sem:.2}")).unwrap_or_default();
        (nll + 2.0 * sem.unwrap_or(0.0) >= uniform).then(|| {
            format!(
                "the model does not predict the text better than a uniform guess over its vocabulary: its loss is \
                 {nll:.2}{error} nats a token, that of the guess {uniform:.2}"
            )
        })
    }
}
