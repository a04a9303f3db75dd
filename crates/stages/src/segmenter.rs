//! From a profile to its stages: [`segment`], [`Segmenter`].

use stratigraph_profile::{Profile, Segmentation, Stage, StageSpan, Verdict};

use crate::change::change_points;
use crate::draws::Draws;
use crate::evidence::{evidence, missing, unreadable};
use crate::loss::Loss;
use crate::outlier::outliers;
use crate::path::{Path, Run, gain};
use crate::reading::Views;
use crate::robust::rounded;
use crate::signal::SignalSet;
use crate::trial::Trial;
use crate::{Result, Rule, Signal};

/// The stages of a profile by the default [`Rule`] and the [standard](Signal::standard) signals, with the profile's seed.
pub fn segment(profile: &Profile) -> Segmentation {
    Segmenter::new(Rule::with_seed(profile.seed)).segment(profile)
}

/// Finds stages by a rule, in the curves that its signals read.
#[derive(Debug, Clone)]
pub struct Segmenter {
    rule: Rule,
    set: SignalSet,
}

impl Segmenter {
    /// A segmenter with the [standard](Signal::standard) signals.
    pub fn new(rule: Rule) -> Self {
        let set = SignalSet::new(Signal::standard(&rule)).expect("the standard signals agree with each other");
        Self { rule, set }
    }

    /// Reads these signals instead.
    ///
    /// # Errors
    /// When two signals read one curve, or a kind of evidence is defined in two ways or has a weight that is not a number.
    pub fn with_signals(mut self, signals: Vec<Signal>) -> Result<Self> {
        self.set = SignalSet::new(signals)?;
        self.set.check_weights()?;
        Ok(self)
    }

    /// The signals that it reads.
    pub fn signals(&self) -> &[Signal] {
        &self.set.signals
    }

    /// The stages of a profile.
    pub fn segment(&self, profile: &Profile) -> Segmentation {
        let (rule, set) = (&self.rule, &self.set);
        let draws = Draws::new(profile, set);
        let means = draws.means();
        let views = Views::new(set, &means, profile.model.n_layers, rule);
        let trial = Trial::new(set, &views, &draws, rule);
        let settled = trial.settle();
        let chances = trial.chances();
        let loss = Loss::from_profile(profile);
        let guesses = loss.filter(|_| rule.must_predict && !means.is_empty());
        let objection = guesses
            .and_then(|loss| loss.objection(profile.model.d_vocab))
            .or_else(|| trial.objection(&settled.path, &chances))
            .map(|reason| (Verdict::NoStageStructure, reason));
        let (verdict, reason) = objection.unwrap_or_else(|| (Verdict::Stages, chances.all.in_words()));
        let drawn = verdict == Verdict::Stages;
        let mut missing = missing(set, profile);
        missing.extend(loss.is_none().then(|| "clean_nll".to_owned()));
        Segmentation {
            n_layers: profile.model.n_layers,
            verdict,
            reason,
            p_value: rounded(chances.all.p_value()),
            p_value_alone: rounded(chances.alone.p_value()),
            gain: rounded(gain(&trial.scores, trial.price)),
            stages: if drawn { spans(set, &settled.path, &views, profile) } else { Vec::new() },
            boundaries: if drawn { trial.boundaries(&settled) } else { Vec::new() },
            outliers: outliers(profile, &views, drawn.then_some(&settled.path), rule),
            rejected: settled.rejected,
            change_points: change_points(&views),
            missing,
            unreadable: unreadable(set, &views, profile),
            rule: rule.settings(),
        }
    }
}

fn spans(set: &SignalSet, path: &Path, views: &Views, profile: &Profile) -> Vec<StageSpan> {
    let span = |Run { stage, first, end }: Run| {
        let stage = Stage::ALL[stage];
        StageSpan { stage, first, end, evidence: evidence(set, stage, first..end, (views, profile)) }
    };
    path.runs().into_iter().map(span).collect()
}
