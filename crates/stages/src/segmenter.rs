//! From a profile to its stages: [`segment`], [`Segmenter`].

use stratigraph_profile::{Boundary, EdgeEffect, OutlierLayer, Profile, Segmentation, Stage, StageSpan, Verdict};

use crate::change::change_points;
use crate::draws::Draws;
use crate::edge::edge_effect;
use crate::evidence::{evidence, missing, unreadable};
use crate::headline::headline;
use crate::judge::{Case, boundaries};
use crate::loss::Loss;
use crate::multiverse::Multiverse;
use crate::odd::odd_layers;
use crate::outlier::outliers;
use crate::path::{Path, Run, gain};
use crate::reading::{Setting, Views};
use crate::removal;
use crate::robust::rounded;
use crate::signal::SignalSet;
use crate::sink::{shares_of_norm, sink_makers};
use crate::standard::FITTED_LENS;
use crate::stories::stories;
use crate::trial::{Settled, Trial};
use crate::{Reading, Result, Rule, Signal};

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
    ///
    /// # Panics
    /// When the settings of the rule cannot be used ([`Rule::check`]).
    pub fn new(rule: Rule) -> Self {
        rule.check().unwrap_or_else(|error| panic!("{error}"));
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
        let loss = Loss::from_profile(profile);
        let floor = loss.and_then(|loss| loss.floor(rule));
        let mut setting =
            Setting { n_layers: profile.model.n_layers, floor: floor.map(|floor| floor.nats), odd: Vec::new() };
        setting.odd = odd_layers(&Views::new(set, &means, &setting, rule), rule);
        let views = Views::new(set, &means, &setting, rule);
        let trial = Trial::new(set, &views, &draws, (&setting, rule));
        let (settled, edges) = settle(&trial, &views);
        let chances = trial.chances();
        let guesses = loss.filter(|_| rule.must_predict && !means.is_empty());
        let objection = guesses
            .and_then(|loss| loss.objection(profile.model.d_vocab))
            .or_else(|| trial.objection(&settled.path, &chances));
        let has_stages = objection.is_none();
        let verdict = if has_stages { Verdict::Stages } else { Verdict::NoStageStructure };
        let mut found =
            Segmentation::new(profile.model.n_layers, verdict, objection.unwrap_or_else(|| chances.all.in_words()));
        if has_stages {
            let multiverse = rule.multiverse.then(|| Multiverse::new(set, &means, &setting, (rule, settled.allowed)));
            let case = Case {
                left_out: inner_outliers(&settled.path, &views, profile, rule),
                rule,
                profile,
                views: &views,
                trial: &trial,
                settled: &settled,
                multiverse: multiverse.as_ref(),
            };
            found.boundaries = boundaries(&case);
            found.stages = spans(set, &settled.path, &found.boundaries, (&views, profile));
        }
        (found.p_value, found.p_value_alone) = (rounded(chances.all.p_value()), rounded(chances.alone.p_value()));
        found.gain = rounded(gain(&trial.scores, trial.price));
        found.outliers = single_layers(profile, &views, (&setting, rule), &found.stages);
        (found.rejected, found.edges, found.floor) = (settled.rejected, edges, floor);
        found.readings = readings(profile, &views, &draws, rule);
        self.add_findings(&mut found, profile, &views);
        found
    }

    /// Adds what does not depend on the division's tests: change points, missing curves, stories and the rule itself.
    fn add_findings(&self, found: &mut Segmentation, profile: &Profile, views: &Views) {
        let (rule, set, loss) = (&self.rule, &self.set, Loss::from_profile(profile));
        found.change_points = change_points(views, rule);
        found.missing = missing(set, profile);
        found.missing.extend(loss.is_none().then(|| "clean_nll".to_owned()));
        found.missing.extend((!loss.is_some_and(Loss::has_unigram)).then(|| "unigram_loss".to_owned()));
        found.unreadable = unreadable(set, views, profile);
        found.stories = stories(profile, found);
        found.rule = rule.settings();
    }
}

/// Layers that make the attention sink, and others that stand out inside a stage.
fn single_layers(
    profile: &Profile,
    views: &Views,
    (setting, rule): (&Setting, &Rule),
    spans: &[StageSpan],
) -> Vec<OutlierLayer> {
    let mut layers = sink_makers(profile, setting, rule);
    let sinks: Vec<usize> = layers.iter().map(|sink| sink.layer).collect();
    let others = outliers(profile, views, spans, rule);
    layers.extend(others.into_iter().filter(|outlier| !sinks.contains(&outlier.layer)));
    layers.sort_by_key(|outlier| outlier.layer);
    layers
}

/// The division in which every boundary passes the tests, without first and last layers that are special by themselves.
fn settle(trial: &Trial, views: &Views) -> (Settled, Vec<EdgeEffect>) {
    let (mut allowed, mut edges, mut rejected, mut given_up) = ([true; 4], Vec::new(), Vec::new(), Vec::new());
    loop {
        let mut settled = trial.settle(allowed);
        rejected.append(&mut settled.rejected);
        given_up.append(&mut settled.given_up);
        let runs = settled.path.runs();
        match runs.iter().find_map(|run| Some((run.stage, edge_effect(views, run)?))) {
            Some((stage, edge)) => {
                allowed = settled.allowed;
                allowed[stage] = false;
                given_up.push(edge.layer);
                edges.push(edge);
            }
            None => {
                (settled.rejected, settled.given_up) = (rejected, given_up);
                return (settled, edges);
            }
        }
    }
}

/// The layers that stand out inside the stages of a division, and those that are left out of it.
fn inner_outliers(path: &Path, views: &Views, profile: &Profile, rule: &Rule) -> Vec<usize> {
    let spans: Vec<StageSpan> =
        path.runs().iter().map(|run| StageSpan::new(Stage::ALL[run.stage], run.first, run.end)).collect();
    let outliers = outliers(profile, views, &spans, rule);
    outliers.into_iter().map(|outlier| outlier.layer).chain(views.odd.iter().copied()).collect()
}

fn spans(set: &SignalSet, path: &Path, boundaries: &[Boundary], read: (&Views, &Profile)) -> Vec<StageSpan> {
    let starts = std::iter::once(0).chain(boundaries.iter().map(|it| it.at));
    let ends = boundaries.iter().map(|it| it.at).chain([read.0.n_layers]);
    let span =
        |((run, first), end): ((Run, usize), usize)| {
            let stage = Stage::ALL[run.stage];
            StageSpan::new(stage, first, end)
                .with_evidence(evidence(set, stage, first..end, read))
                .with_headline(headline(read.1, stage, first..end))
        };
    path.runs().into_iter().zip(starts).zip(ends).map(span).collect()
}

/// How the rule read what it could have read in several ways.
fn readings(profile: &Profile, views: &Views, draws: &Draws, rule: &Rule) -> Vec<String> {
    let mut readings = Vec::new();
    if let Some((name, _)) = removal::preferred(|name| views.get(name)) {
        let read = match removal::keeps_first(name) {
            true if shares_of_norm(profile, views.n_layers).is_none() => {
                "removals at all positions but the first, so that the attention sink stays; no layer is named as the one that \
                 makes it, since the norm at the first position is not known (measure geometry)"
            }
            true => "removals at all positions but the first, so that the attention sink stays",
            false => {
                "removals at all positions: a layer that makes the attention sink counts as one that is needed (measure \
                 delete_after_first to tell them apart)"
            }
        };
        readings.push(read.to_owned());
    }
    if views.heard().any(|view| view.signal.group() == FITTED_LENS) {
        readings.push("convergence by the fitted affine lens".to_owned());
    } else if views.heard().any(|view| view.signal.reading == Reading::Approach) {
        readings.push(
            "convergence by the logit lens, which shares the unembedding with the neurons and is one group with \
                       them; a mid layer far from the output may be a mismatch of bases (measure affine_lens)"
                .to_owned(),
        );
    }
    if draws.is_possible() {
        readings.push(format!("{} resamples of {}", rule.resamples, draws.resampled()));
    } else if profile.curves.values().any(|curve| curve.sem.iter().any(Option::is_some)) {
        readings.push("no resamples: the means of single windows are not in the profile".to_owned());
    }
    readings
}
