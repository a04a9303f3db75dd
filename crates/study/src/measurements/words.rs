//! What a study asks about words: [`Lexical`], looks at sentences and windows of their own.

use stratigraph_core::{ActivationCache, Hook, ResidualModel, check_tap};
use stratigraph_probes::{
    ENSEMBLE_NEURONS, Ensembles, MergingHead, Proportion, SuffixTask, WicAccuracy, WicOptions, WicTokens, WordEnds,
    ensembles, merging_heads, wic_accuracy,
};
use stratigraph_stages::{Axis, Curve, Estimate, Matrix, Units};

use crate::study::increments;
use crate::{Findings, Result};

/// Windows of a few tokens that are run at once.
const BATCH: usize = 64;
/// How often, about, a probe is evaluated on all its examples while it is fitted and cross-validated.
const EVALUATIONS: u64 = 1000;

/// What was given to a study to look at, beside its corpus.
#[derive(Default)]
pub(crate) struct Lexical {
    /// Pairs to fit probes to, and pairs to ask about.
    pub(crate) wic: Option<(WicTokens, WicTokens)>,
    pub(crate) word_ends: Option<WordEnds>,
    /// Tasks with the names of their suffixes.
    pub(crate) suffixes: Vec<(String, SuffixTask)>,
    /// The text of every token.
    pub(crate) token_texts: Vec<String>,
    pub(crate) seed: u64,
}

impl Lexical {
    /// Finds out before a long run what would end it: pairs that are too few, texts and hooks that do not fit the model.
    pub(crate) fn check(&self, model: &dyn ResidualModel) -> Result<()> {
        let options = WicOptions::default();
        if let Some((train, test)) = &self.wic {
            check_tap(model, &ActivationCache::of([Hook::ResidPre]))?;
            options.check(train, test)?;
            train.check(model)?;
            test.check(model)?;
        }
        if let Some(ends) = &self.word_ends {
            check_tap(model, &ActivationCache::of([Hook::Pattern]))?;
            ends.long.check(model)?;
            ends.short.check(model)?;
        }
        for (_, task) in &self.suffixes {
            check_tap(model, &ActivationCache::of([Hook::MlpPost]))?;
            task.windows().check(model)?;
        }
        Ok(())
    }

    /// How much work it is, in multiplications.
    pub(crate) fn work(&self, model: &dyn ResidualModel) -> u64 {
        let wic = self.wic.iter().map(|(train, test)| wic_work(model, train, test));
        let ends = self.word_ends.iter().map(|ends| pass(model, ends.long.ids().len() + ends.short.ids().len()));
        let suffixes = self.suffixes.iter().map(|(_, task)| pass(model, task.windows().ids().len()));
        wic.chain(ends).chain(suffixes).sum()
    }

    /// Looks at all of it; `done` hears of work.
    pub(crate) fn look(
        &self,
        model: &dyn ResidualModel,
        findings: &mut Findings,
        mut done: impl FnMut(u64),
    ) -> Result<()> {
        if let Some((train, test)) = &self.wic {
            let options = WicOptions { seed: self.seed, ..WicOptions::default() };
            let each = wic_work(model, train, test) / (model.n_layers() as u64 + 1);
            let found = wic_accuracy(model, (train, test), &options, |_| done(each))?;
            insert_wic(findings, &found);
        }
        if let Some(ends) = &self.word_ends {
            let each = pass(model, ends.long.seq_len());
            let heads = merging_heads(model, ends, BATCH, increments(each, &mut done))?;
            findings.matrices.insert("merging_heads".into(), head_map(&heads));
        }
        for (suffix, task) in &self.suffixes {
            let each = pass(model, task.windows().seq_len());
            let hear = increments(each, &mut done);
            let found = ensembles(model, task, &self.token_texts, ENSEMBLE_NEURONS, hear)?;
            findings.matrices.insert(format!("ensemble_{suffix}"), ensemble_matrix(&found));
        }
        Ok(())
    }
}

/// Multiplications of a pass over so many tokens.
fn pass(model: &dyn ResidualModel, n_tokens: usize) -> u64 {
    (n_tokens * model.n_layers() * 12 * model.d_model() * model.d_model()) as u64
}

fn wic_work(model: &dyn ResidualModel, train: &WicTokens, test: &WicTokens) -> u64 {
    let probing = EVALUATIONS * (train.len() * 4 * model.d_model() * (model.n_layers() + 2)) as u64;
    pass(model, train.n_tokens() + test.n_tokens()) + probing
}

fn insert_wic(findings: &mut Findings, found: &WicAccuracy) {
    let estimate = |proportion: Proportion| Estimate { mean: proportion.share(), sem: proportion.sem() };
    let mut curve = Curve { units: Units::Pairs, ..Curve::default() };
    for place in &found.places {
        let right = place.right.iter().map(|right| f64::from(u8::from(*right)));
        curve.push(estimate(place.accuracy()), right.collect());
    }
    findings.curves.insert("wic_accuracy".into(), curve);
    findings.values.insert("wic_static".into(), estimate(found.static_embedding.accuracy()));
    findings.values.insert("wic_majority".into(), Estimate { mean: found.majority, sem: None });
}

/// The difference of every head, `[layer][head]`.
fn head_map(heads: &[Vec<MergingHead>]) -> Matrix {
    let n_heads = heads.first().map_or(0, Vec::len);
    let difference = |head: &MergingHead| head.difference().mean;
    Matrix {
        rows: Axis::counting("layer", heads.len()),
        columns: Axis::counting("head", n_heads),
        unit: "attention within a word, less that elsewhere".into(),
        values: heads.iter().map(|layer| layer.iter().map(difference).collect()).collect(),
    }
}

/// Accuracies of ensembles by their size, and of the model.
fn ensemble_matrix(found: &Ensembles) -> Matrix {
    let sizes = found.together.iter().map(|(k, _)| k.to_string()).collect();
    Matrix {
        rows: Axis { name: "who".into(), labels: vec!["probe".into(), "model".into()] },
        columns: Axis { name: "neurons".into(), labels: sizes },
        unit: "accuracy".into(),
        values: vec![
            found.together.iter().map(|(_, accuracy)| accuracy.share()).collect(),
            vec![found.model.share(); found.together.len()],
        ],
    }
}
