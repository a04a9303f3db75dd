//! From a profile to its stages: [`Segmentation::of`].

use std::fmt;

use crate::change::change_points;
use crate::draws::Draws;
use crate::evidence::{evidence, missing, unreadable};
use crate::outlier::outliers;
use crate::path::{Allowed, Path, Scores, best, gain};
use crate::random::Random;
use crate::reading::{Means, Views};
use crate::robust::rounded;
use crate::{Boundary, Curve, Doubt, Measurement, Profile, Rejected, Rule, Segmentation, Stage, StageSpan, Verdict};

impl Segmentation {
    /// The stages of a profile by the default [`Rule`], with the seed of the profile.
    pub fn of(profile: &Profile) -> Self {
        Self::with(profile, &Rule { seed: profile.seed, ..Rule::default() })
    }

    /// The stages of a profile.
    pub fn with(profile: &Profile, rule: &Rule) -> Self {
        let draws = Draws::of(profile);
        let means = draws.means();
        let views = Views::of(&means, profile.model.n_layers, rule);
        let trial = Trial::new(&views, &draws, rule);
        let settled = trial.settle();
        let path = &settled.path;
        let (chance, alone) = trial.chances();
        let loss = Loss::of(profile);
        let objection = loss
            .and_then(|loss| loss.guesses(profile, &means, rule))
            .or_else(|| trial.objection(path, chance, alone))
            .map(|reason| (Verdict::NoStageStructure, reason));
        let (verdict, reason) = objection.unwrap_or_else(|| (Verdict::Stages, chance.to_string()));
        let drawn = verdict == Verdict::Stages;
        Self {
            n_layers: profile.model.n_layers,
            verdict,
            reason,
            p_value: rounded(chance.p_value()),
            p_value_alone: rounded(alone.1.p_value()),
            gain: rounded(gain(&trial.scores, trial.price)),
            stages: if drawn { spans(path, &views, profile) } else { Vec::new() },
            boundaries: if drawn { trial.boundaries(&settled) } else { Vec::new() },
            outliers: outliers(profile, &views, drawn.then_some(path), rule),
            rejected: settled.rejected,
            change_points: change_points(&views),
            missing: missing(profile).chain(loss.is_none().then(|| "clean_nll".to_owned())).collect(),
            unreadable: unreadable(&views, profile).collect(),
            rule: rule.clone(),
        }
    }
}

fn spans(path: &Path, views: &Views, profile: &Profile) -> Vec<StageSpan> {
    let span = |(stage, first, end): (usize, usize, usize)| StageSpan {
        stage: Stage::ALL[stage],
        first,
        end,
        evidence: evidence(Stage::ALL[stage], first..end, views, profile),
    };
    path.runs().into_iter().map(span).collect()
}

/// The loss of the unchanged model, in nats a token, with its standard error.
#[derive(Clone, Copy)]
struct Loss {
    nll: f64,
    sem: Option<f64>,
}

impl Loss {
    /// That of a profile, or what the lens has at its end; none where neither is a number.
    fn of(profile: &Profile) -> Option<Self> {
        let finite =
            |nll: f64, sem: Option<f64>| nll.is_finite().then(|| Self { nll, sem: sem.filter(|sem| sem.is_finite()) });
        let known = profile.values.get("clean_nll").and_then(|estimate| finite(estimate.mean, estimate.sem));
        let whole = |curve: &&Curve| curve.len() == profile.model.n_layers + 1;
        let of_lens = || profile.curves.get("lens_nll").filter(whole);
        known.or_else(|| of_lens().and_then(|curve| finite(*curve.mean.last()?, curve.sem.last().copied().flatten())))
    }

    /// What is said of a model that does not predict its text better, by two standard errors, than a uniform guess over its
    /// vocabulary.
    fn guesses(self, profile: &Profile, means: &Means, rule: &Rule) -> Option<String> {
        let (Self { nll, sem }, uniform) = (self, (profile.model.d_vocab as f64).ln());
        let worse = rule.must_predict && !means.is_empty() && nll + 2.0 * sem.unwrap_or(0.0) >= uniform;
        let error = sem.map(|sem| format!(" ± {sem:.2}")).unwrap_or_default();
        worse.then(|| {
            format!(
                "it does not predict the text better than a uniform guess: {nll:.2}{error} nats a token, {uniform:.2}"
            )
        })
    }
}

/// How many random orders of the layers gain as much from stages as the true one.
#[derive(Clone, Copy)]
struct Chance {
    as_good: usize,
    orders: usize,
}

impl Chance {
    /// The share with the true order counted among the orders, so that it is never 0.
    fn p_value(self) -> f64 {
        (self.as_good + 1) as f64 / (self.orders + 1) as f64
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { as_good, orders }, p) = (self, self.p_value());
        write!(f, "{as_good} of {orders} random orders of the layers gain as much from stages (p = {p:.3})")
    }
}

/// What the search for boundaries ends with.
struct Settled {
    path: Path,
    /// The stages that were not given up.
    allowed: Allowed,
    rejected: Vec<Rejected>,
}

/// The scores of a profile, of its draws and of the same without single measurements.
struct Trial<'a> {
    rule: &'a Rule,
    price: f64,
    scores: Scores,
    /// By kind of measurement, the scores without it.
    without: Vec<(Measurement, Scores)>,
    /// The same without swaps.
    reordered: Vec<(Measurement, Scores)>,
    drawn: Vec<Scores>,
}

impl<'a> Trial<'a> {
    fn new(views: &Views, draws: &Draws, rule: &'a Rule) -> Self {
        let mut random = Random::new(rule.seed);
        let n_draws = if draws.is_possible() { rule.resamples } else { 0 };
        let draw = |_| Views::of(&draws.draw(&mut random), views.n_layers, rule).scores(rule, &[]);
        Self {
            rule,
            price: rule.stage_price * (views.n_layers.max(1) as f64).ln(),
            scores: views.scores(rule, &[]),
            without: views.speaking().map(|kind| (kind, views.scores(rule, &[kind]))).collect(),
            reordered: views.speaking().map(|kind| (kind, views.scores(rule, &[kind, Measurement::Swap]))).collect(),
            drawn: (0..n_draws).map(draw).collect(),
        }
    }

    /// The chance of a division with all kinds of measurement, all four stages allowed, and the largest with one left out, which is named. Swaps are
    /// always left out: each is of two layers, so that neighbours look alike in the true order and in no other.
    fn chances(&self) -> (Chance, (Option<Measurement>, Chance)) {
        let without_swaps = self.without.iter().find(|(kind, _)| *kind == Measurement::Swap);
        let all = self.orders_as_good(without_swaps.map_or(&self.scores, |(_, scores)| scores), self.price);
        let alone = self.reordered.iter().map(|(kind, scores)| {
            let left_out = Some(*kind).filter(|kind| *kind != Measurement::Swap);
            (left_out, self.orders_as_good(scores, self.rule.alone * self.price))
        });
        (all, alone.fold((None, all), |most, each| if each.1.as_good > most.1.as_good { each } else { most }))
    }

    fn orders_as_good(&self, scores: &Scores, price: f64) -> Chance {
        let mut random = Random::new(self.rule.seed ^ 0x5eed);
        let mut order = scores.clone();
        let found = gain(&order, price);
        let orders = self.rule.permutations;
        let mut as_good = |_: &usize| {
            random.shuffle(&mut order);
            gain(&order, price) >= found - 1e-9
        };
        Chance { as_good: (0..orders).filter(&mut as_good).count(), orders }
    }

    /// The best division of which every boundary holds; of one that does not, the stage on one of its sides is given up.
    fn settle(&self) -> Settled {
        let mut allowed: Allowed = [true; 4];
        let mut rejected = Vec::new();
        loop {
            let path = best(&self.scores, self.price, allowed);
            let runs = path.runs();
            let fault = runs.windows(2).find_map(|pair| Some((pair, self.fault(pair, allowed)?)));
            let Some((pair, reason)) = fault else { return Settled { path, allowed, rejected } };
            let (before, after) = (pair[0].0, pair[1].0);
            rejected.push(Rejected { before: Stage::ALL[before], after: Stage::ALL[after], at: pair[1].1, reason });
            let giving_up = |stage: usize| {
                let mut fewer = allowed;
                fewer[stage] = false;
                (best(&self.scores, self.price, fewer).score, fewer)
            };
            let (without_before, without_after) = (giving_up(before), giving_up(after));
            allowed = if without_before.0 > without_after.0 { without_before.1 } else { without_after.1 };
        }
    }

    /// Why the boundary between two runs does not hold.
    fn fault(&self, pair: &[(usize, usize, usize)], allowed: Allowed) -> Option<String> {
        let alone =
            |(_, scores): &&(Measurement, Scores)| !divides(&best(scores, self.rule.alone * self.price, allowed), pair);
        if let Some((kind, _)) = self.without.iter().find(alone) {
            return Some(format!("it rests on one kind of measurement alone: {kind}"));
        }
        let holds = self.drawn.iter().filter(|scores| divides(&best(scores, self.price, allowed), pair)).count();
        let support = holds as f64 / self.drawn.len().max(1) as f64;
        let weak = !self.drawn.is_empty() && support < self.rule.least_support;
        weak.then(|| format!("only {:.0} % of the draws of windows have it", 100.0 * support))
    }

    fn objection(
        &self,
        path: &Path,
        chance: Chance,
        (left_out, alone): (Option<Measurement>, Chance),
    ) -> Option<String> {
        if path.runs().len() < 2 {
            return Some("no boundary holds".to_owned());
        }
        if chance.p_value() > self.rule.significance {
            return Some(chance.to_string());
        }
        let told = || match left_out {
            Some(kind) => format!("without {kind}, {alone}"),
            None => format!("at a lower price for a stage, {alone}"),
        };
        (alone.p_value() > self.rule.significance_alone).then(told)
    }

    fn boundaries(&self, settled: &Settled) -> Vec<Boundary> {
        let draws = self.drawn.iter();
        let paths: Vec<Path> = draws.map(|scores| best(scores, self.price, settled.allowed)).collect();
        let boundary = |pair: &[(usize, usize, usize)]| Boundary {
            before: Stage::ALL[pair[0].0],
            after: Stage::ALL[pair[1].0],
            at: pair[1].1,
            doubt: (!paths.is_empty()).then(|| doubt(&paths, pair, self.rule.coverage)),
        };
        settled.path.runs().windows(2).map(boundary).collect()
    }
}

/// Whether a division has the middles of two runs in different stages.
fn divides(path: &Path, pair: &[(usize, usize, usize)]) -> bool {
    let middle = |run: (usize, usize, usize)| path.stages[(run.1 + run.2 - 1) / 2];
    middle(pair[0]) != middle(pair[1])
}

/// The interval by percentiles of where the earlier stage ends in the draws, made to hold the estimate.
fn doubt(paths: &[Path], pair: &[(usize, usize, usize)], coverage: f64) -> Doubt {
    let at = pair[1].1;
    let mut cuts: Vec<usize> = paths.iter().map(|path| path.cuts()[pair[0].0]).collect();
    cuts.sort_unstable();
    let outside = ((1.0 - coverage) / 2.0 * cuts.len() as f64).floor() as usize;
    let outside = outside.min((cuts.len() - 1) / 2);
    let share = |n: usize| rounded(n as f64 / paths.len() as f64);
    let near = |path: &&Path| divides(path, pair) && path.cuts()[pair[0].0].abs_diff(at) <= 1;
    Doubt {
        low: cuts[outside].min(at),
        high: cuts[cuts.len() - 1 - outside].max(at),
        support: share(paths.iter().filter(|path| divides(path, pair)).count()),
        within_one: share(paths.iter().filter(near).count()),
    }
}
