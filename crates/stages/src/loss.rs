//! Whether a model predicts its text at all, and how much it knows: [`Loss`].

use stratigraph_profile::{Axis, Curve, Profile, RemovalFloor};

use crate::Rule;

/// The loss of the unchanged model, in nats a token, with its standard error, and that of a unigram model.
#[derive(Clone, Copy)]
pub(crate) struct Loss {
    nll: f64,
    sem: Option<f64>,
    unigram: Option<f64>,
}

impl Loss {
    /// That of a profile, or the end of its lens; none where neither is a number.
    pub(crate) fn from_profile(profile: &Profile) -> Option<Self> {
        let number = |name: &str| profile.values.get(name).map(|it| it.mean).filter(|mean| mean.is_finite());
        let unigram = number("unigram_loss");
        let finite = |nll: f64, sem: Option<f64>| {
            nll.is_finite().then(|| Self { nll, sem: sem.filter(|sem| sem.is_finite()), unigram })
        };
        let known = profile.values.get("clean_nll").and_then(|estimate| finite(estimate.mean, estimate.sem));
        let positions = Axis::residual_positions(profile.model.n_layers);
        let whole = |curve: &&Curve| curve.axis == positions && curve.len() == positions.len();
        let of_lens = || profile.curves.get("lens_nll").filter(whole)?.estimates().last();
        known.or_else(|| of_lens().and_then(|last| finite(last.mean, last.sem)))
    }

    /// Why the model has no stages of inference where its loss is not better, by two standard errors, than that of a unigram
    /// model, or of a uniform guess over its vocabulary where that of a unigram model is not known.
    pub(crate) fn objection(self, d_vocab: usize) -> Option<String> {
        let Self { nll, sem, unigram } = self;
        let (guess, what) = match unigram {
            Some(unigram) => (unigram.min((d_vocab as f64).ln()), "a model that knows only how frequent each token is"),
            None => ((d_vocab as f64).ln(), "a uniform guess over its vocabulary"),
        };
        let error = sem.map(|sem| format!(" ± {sem:.2}")).unwrap_or_default();
        (nll + 2.0 * sem.unwrap_or(0.0) >= guess).then(|| {
            format!(
                "the model does not predict the text better than {what}: its loss is {nll:.2}{error} nats a token, that of \
                 the guess {guess:.2}"
            )
        })
    }

    /// From what a layer's deletion costs something; none where the loss of a unigram model is not known, or is not larger than
    /// that of the model.
    pub(crate) fn floor(self, rule: &Rule) -> Option<RemovalFloor> {
        let (unigram_loss, clean_loss) = (self.unigram?, self.nll);
        let nats = rule.floor_share * (unigram_loss - clean_loss);
        (nats > 0.0).then_some(RemovalFloor { nats, unigram_loss, clean_loss })
    }

    /// Whether the loss of a unigram model is known.
    pub(crate) fn has_unigram(self) -> bool {
        self.unigram.is_some()
    }
}
