//! From a profile to its stages: [`Segmentation::of`].

use crate::change::change_points;
use crate::draws::Draws;
use crate::evidence::{evidence, missing};
use crate::outlier::outliers;
use crate::path::{Allowed, Path, Scores, best, gain};
use crate::random::Random;
use crate::reading::{Means, Views};
use crate::robust::rounded;
use crate::{Boundary, Curve, Doubt, Measurement, Profile, Rejected, Rule, Segmentation, Stage, StageSpan, Verdict};

impl Segmentation {
    /// The stages of a profile by the default [`Rule`].
    pub fn of(profile: &Profile) -> Self {
        Self::with(profile, &Rule::default())
    }

    /// The stages of a profile.
    pub fn with(profile: &Profile, rule: &Rule) -> Self {
        let draws = Draws::of(profile);
        let means = draws.means();
        let views = Views::of(&means, profile.model.n_layers, rule);
        let trial = Trial::new(&views, &draws, rule);
        let (path, rejected) = trial.settle();
        let (p_value, alone) = trial.p_values();
        let objection = guesses(profile, &means, rule)
            .or_else(|| trial.objection(&path, p_value, alone))
            .map(|reason| (Verdict::NoStageStructure, reason));
        let told = || {
            let share = 100.0 * p_value;
            (Verdict::Stages, format!("{share:.1} % of other orders of the layers tell the story as well"))
        };
        let (verdict, reason) = objection.unwrap_or_else(told);
        let drawn = verdict == Verdict::Stages;
        Self {
            n_layers: profile.model.n_layers,
            verdict,
            reason,
            p_value: rounded(p_value),
            p_value_alone: rounded(alone),
            gain: rounded(gain(&trial.scores, trial.price)),
            stages: if drawn { spans(&path, &views, profile) } else { Vec::new() },
            boundaries: if drawn { trial.boundaries(&path) } else { Vec::new() },
            rejected,
            outliers: outliers(profile, &views, drawn.then_some(&path), rule),
            change_points: change_points(&views),
            missing: missing(&views),
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

/// What is said of a model that does not predict its text better, by two standard errors, than a uniform guess over its
/// vocabulary.
fn guesses(profile: &Profile, means: &Means, rule: &Rule) -> Option<String> {
    let last = |curve: &Curve| Some((*curve.mean.last()?, curve.sem.last().copied().flatten()));
    let known = profile.values.get("clean_nll").map(|estimate| (estimate.mean, estimate.sem));
    let (nll, sem) = known.or_else(|| last(profile.curves.get("lens_nll")?))?;
    let (uniform, sem) = ((profile.model.d_vocab as f64).ln(), sem.unwrap_or(0.0));
    let worse = rule.must_predict && !means.is_empty() && nll + 2.0 * sem >= uniform;
    worse.then(|| {
        format!(
            "it does not predict the text better than a uniform guess: {nll:.2} ± {sem:.2} nats a token, {uniform:.2}"
        )
    })
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

    /// The share of orders of the layers, the true one among them, that bring as much as the true one; and the largest such
    /// share with any one kind of measurement left out. Swaps are always left out: each is of two layers, so that neighbours
    /// look alike in the true order and in no other.
    fn p_values(&self) -> (f64, f64) {
        let without_swaps = self.without.iter().find(|(kind, _)| *kind == Measurement::Swap);
        let all = self.orders_as_good(without_swaps.map_or(&self.scores, |(_, scores)| scores), self.price);
        let alone = self.reordered.iter().map(|(_, scores)| self.orders_as_good(scores, self.rule.alone * self.price));
        (all, alone.fold(all, f64::max))
    }

    fn orders_as_good(&self, scores: &Scores, price: f64) -> f64 {
        let mut random = Random::new(self.rule.seed ^ 0x5eed);
        let mut order = scores.clone();
        let found = gain(&order, price);
        let mut as_good = 1;
        for _ in 0..self.rule.permutations {
            random.shuffle(&mut order);
            as_good += usize::from(gain(&order, price) >= found - 1e-9);
        }
        as_good as f64 / (self.rule.permutations + 1) as f64
    }

    /// The best division of which every boundary holds; of one that does not, the stage on one of its sides is given up.
    fn settle(&self) -> (Path, Vec<Rejected>) {
        let mut allowed: Allowed = [true; 4];
        let mut rejected = Vec::new();
        loop {
            let path = best(&self.scores, self.price, allowed);
            let runs = path.runs();
            let fault = runs.windows(2).find_map(|pair| Some((pair, self.fault(pair, allowed)?)));
            let Some((pair, reason)) = fault else { return (path, rejected) };
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

    fn objection(&self, path: &Path, p_value: f64, alone: f64) -> Option<String> {
        if path.runs().len() < 2 {
            return Some("no boundary holds".to_owned());
        }
        let told = |share: f64| format!("{:.1} % of other orders of the layers tell the story as well", 100.0 * share);
        if p_value > self.rule.significance {
            return Some(told(p_value));
        }
        let chance = alone > self.rule.significance_alone;
        chance.then(|| format!("without one kind of measurement, {}", told(alone)))
    }

    fn boundaries(&self, path: &Path) -> Vec<Boundary> {
        let runs = path.runs();
        let allowed = [0, 1, 2, 3].map(|stage| runs.iter().any(|run| run.0 == stage));
        let paths: Vec<Path> = self.drawn.iter().map(|scores| best(scores, self.price, allowed)).collect();
        let boundary = |pair: &[(usize, usize, usize)]| Boundary {
            before: Stage::ALL[pair[0].0],
            after: Stage::ALL[pair[1].0],
            at: pair[1].1,
            doubt: (!paths.is_empty()).then(|| doubt(&paths, pair, self.rule.coverage)),
        };
        runs.windows(2).map(boundary).collect()
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
