//! Measurements of words, on sentences and windows of their own: [`WordInContext`], [`MergingHeads`].

use std::collections::BTreeSet;

use stratigraph_core::{Hook, ModelShape};
use stratigraph_probes::lexical::{
    MergingHead, WicAccuracy, WicOptions, WicProbe, WicSplit, WordEnds, merging_heads, merging_threshold, wic_accuracy,
};
use stratigraph_profile::statistics::{ErrorBasis, ErrorUnit, cluster_sem};
use stratigraph_profile::{Axis, Estimate, Matrix, ReplicateUnit, Unit};

use super::empty_curve;
use crate::progress::pass_work;
use crate::{Findings, Measurement, Needs, Result, StudyContext, Work};

/// Windows of a few tokens that are run at once.
const BATCH: usize = 64;

/// Probes for a word's sense: curve `wic_accuracy` over residual positions; values `wic_static` (the same without any
/// layer) and `wic_majority` (the more frequent answer).
#[derive(Debug, Clone)]
pub struct WordInContext {
    split: WicSplit,
}

impl WordInContext {
    /// With pairs to fit probes to, five at least, and pairs to test them on.
    pub fn new(split: WicSplit) -> Self {
        Self { split }
    }

    /// About how many multiplications it takes.
    fn units(&self, shape: &ModelShape) -> u64 {
        /// How often, about, a probe is evaluated on all its examples while it is fitted and cross-validated.
        const EVALUATIONS: u64 = 1000;
        let WicSplit { train, test } = &self.split;
        let probing = EVALUATIONS * (train.len() * 4 * shape.d_model * (shape.n_layers + 2)) as u64;
        pass_work(shape, train.n_tokens() + test.n_tokens()) + probing
    }
}

impl Measurement for WordInContext {
    fn name(&self) -> String {
        "wic".to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::ResidPre, Hook::ResidPost])
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (model, seed) = (context.model, context.seed);
        let options = WicOptions { seed, ..WicOptions::default() };
        options.check(&self.split.train, &self.split.test)?;
        self.split.train.check(model)?;
        self.split.test.check(model)?;
        let units = self.units(&model.shape());
        Ok(vec![Work::own(units, move |findings, progress| {
            let found = wic_accuracy(model, &self.split, &options, share_of(units, progress))?;
            add_wic(&found, model.n_layers(), findings)
        })])
    }
}

/// Accuracies, with errors over words: pairs of one word are correlated.
fn add_wic(found: &WicAccuracy, n_layers: usize, findings: &mut Findings) -> Result<()> {
    let right = |probe: &WicProbe| probe.right.iter().map(|right| f64::from(u8::from(*right))).collect::<Vec<_>>();
    let estimate = |probe: &WicProbe| Estimate::new(probe.accuracy().share(), cluster_sem(&right(probe), &found.words));
    let mut curve = empty_curve("wic_accuracy", n_layers)
        .with_replicates(ReplicateUnit::Pairs, Vec::new())
        .with_clusters(found.words.clone())
        .with_errors(ErrorBasis::new(ErrorUnit::Words, found.words.iter().collect::<BTreeSet<_>>().len()));
    found.residual.iter().for_each(|probe| curve.push(estimate(probe), right(probe)));
    findings.add_curve("wic_accuracy", curve)?;
    findings.add_value("wic_static", estimate(&found.static_embedding))?;
    findings.add_value("wic_majority", Estimate::exact(found.majority))
}

/// What each head does at the end of words of several tokens: matrix `merging_heads` over layers and heads, and the value
/// `merging_heads_threshold`, the standard errors beyond which a head differs though it is the largest of all.
#[derive(Debug, Clone)]
pub struct MergingHeads {
    ends: WordEnds,
}

impl MergingHeads {
    /// At these ends of words.
    pub fn new(ends: WordEnds) -> Self {
        Self { ends }
    }
}

impl Measurement for MergingHeads {
    fn name(&self) -> String {
        "merging_heads".to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::Pattern])
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (model, seed) = (context.model, context.seed);
        let WordEnds { multi_token, single_token, .. } = &self.ends;
        multi_token.check(model)?;
        single_token.check(model)?;
        let units = pass_work(&model.shape(), multi_token.ids().len() + single_token.ids().len());
        let n_windows = multi_token.n_sequences() + single_token.n_sequences();
        Ok(vec![Work::own(units, move |findings, progress| {
            let mut share = share_of(units, progress);
            let heads = merging_heads(model, &self.ends, BATCH, |n| share(n as f64 / n_windows as f64))?;
            if let Some(threshold) = merging_threshold(&heads, seed) {
                findings.add_value("merging_heads_threshold", Estimate::exact(threshold))?;
            }
            findings.add_matrix("merging_heads", head_map(&heads))
        })])
    }
}

/// The difference of every head with its standard error, `[layer][head]`.
fn head_map(heads: &[Vec<MergingHead>]) -> Matrix {
    let n_heads = heads.first().map_or(0, Vec::len);
    let difference = |head: &MergingHead| Estimate::new(head.difference().mean, head.difference().sem);
    let cells = heads.iter().flatten().map(difference);
    Matrix::from_estimates(Axis::layers(heads.len()), Axis::heads(n_heads), Unit::Fraction, cells)
}

/// Converts the share that is done into the units of work since the last call.
pub(super) fn share_of(units: u64, progress: &mut dyn FnMut(u64)) -> impl FnMut(f64) {
    let mut before = 0;
    move |share: f64| {
        let now = (units as f64 * share.clamp(0.0, 1.0)) as u64;
        progress(now.saturating_sub(before));
        before = now.max(before);
    }
}
