//! The tests that a division of depth has to pass: [`Trial`].

use stratigraph_profile::{RejectedBoundary, Stage};

use crate::Rule;
use crate::chance::Chance;
use crate::conditional;
use crate::draws::Draws;
use crate::path::{Allowed, Path, Run, Scores, best, gain};
use crate::random::Random;
use crate::reading::{Setting, View, Views};
use crate::signal::SignalSet;

/// The order test with all groups of signals, and with the one left out that makes it worst.
pub(crate) struct Chances<'a> {
    pub(crate) all: Chance,
    pub(crate) alone: Chance,
    /// The group that is left out; none where only the price of a stage differs.
    left_out: Option<&'a str>,
}

/// Why a boundary does not pass.
struct Fault<'a> {
    reason: String,
    /// The scores that decide which stage is given up.
    others: &'a Scores,
}

/// The result of the search for boundaries.
pub(crate) struct Settled {
    pub(crate) path: Path,
    /// The stages that were not given up.
    pub(crate) allowed: Allowed,
    pub(crate) rejected: Vec<RejectedBoundary>,
    /// The layers at an end of the network whose stage was given up: they differ from the stage that they count to.
    pub(crate) given_up: Vec<usize>,
}

/// The scores of a profile, of its draws, and of the same without single groups of signals.
pub(crate) struct Trial<'a> {
    rule: &'a Rule,
    pub(crate) price: f64,
    pub(crate) scores: Scores,
    /// By group of signals, the scores without it.
    without: Vec<(&'a str, Scores)>,
    /// The scores without evidence that neighbouring layers share.
    unshared: Scores,
    /// By group of signals, the same without that group too.
    unshared_without: Vec<(Option<&'a str>, Scores)>,
    pub(crate) drawn: Vec<Scores>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(
        set: &'a SignalSet,
        views: &Views<'a>,
        draws: &Draws,
        (setting, rule): (&Setting, &'a Rule),
    ) -> Self {
        let mut random = Random::new(rule.seed);
        let n_draws = if draws.is_possible() { rule.resamples } else { 0 };
        let draw = |_| Views::new(set, &draws.draw(&mut random), setting, rule).scores(rule, |_| true);
        let drawn = (0..n_draws).map(draw).collect();
        let groups = views.informative();
        let without = |&group: &usize| (views.group_name(group), views.scores(rule, |view| view.group != group));
        let unshared = |view: &View| !view.is_shared;
        let unshared_without = |&group: &usize| {
            let scores = views.scores(rule, |view| unshared(view) && view.group != group);
            (Some(views.group_name(group)), scores)
        };
        Self {
            rule,
            price: views.price(rule),
            scores: views.scores(rule, |_| true),
            without: groups.iter().map(without).collect(),
            unshared: views.scores(rule, unshared),
            unshared_without: groups.iter().map(unshared_without).collect(),
            drawn,
        }
    }

    /// The p-value of one boundary: see [`conditional::p_value`].
    pub(crate) fn conditional(&self, pair: &[Run]) -> f64 {
        conditional::p_value(&self.unshared, pair, self.rule.permutations, self.rule.seed)
    }

    /// The chance of a division with all four stages allowed: with all groups, and the largest with one left out.
    /// Swaps and the like are always left out: each is of several layers, so that neighbours look alike in the true order and in
    /// no other.
    pub(crate) fn chances(&self) -> Chances<'a> {
        let all = self.orders_as_good(&self.unshared, self.price);
        let mut chances = Chances { all, alone: all, left_out: None };
        for (left_out, scores) in &self.unshared_without {
            let alone = self.orders_as_good(scores, self.rule.alone * self.price);
            if alone.is_worse_than(chances.alone) {
                (chances.alone, chances.left_out) = (alone, *left_out);
            }
        }
        chances
    }

    fn orders_as_good(&self, scores: &Scores, price: f64) -> Chance {
        let orders = (self.rule.permutations, self.rule.seed ^ 0x5eed);
        Chance::of(scores.clone(), orders, |scores| gain(scores, price))
    }

    /// The best division in which every boundary passes the tests; if a boundary fails, the stage on one of its sides
    /// is given up, the later one if both are as good. A group on which the boundary rests alone does not decide that.
    pub(crate) fn settle(&self, mut allowed: Allowed) -> Settled {
        let (mut rejected, mut given_up) = (Vec::new(), Vec::new());
        loop {
            let path = best(&self.scores, self.price, allowed);
            let runs = path.runs();
            let fault = runs.windows(2).find_map(|pair| Some((pair, self.fault(pair, allowed)?)));
            let Some((pair, Fault { reason, others })) = fault else {
                return Settled { path, allowed, rejected, given_up };
            };
            let (before, after) = (pair[0].stage, pair[1].stage);
            let at = pair[1].first;
            rejected.push(RejectedBoundary { before: Stage::ALL[before], after: Stage::ALL[after], at, reason });
            let giving_up = |stage: usize| {
                let mut fewer = allowed;
                fewer[stage] = false;
                (best(others, self.price, fewer).score, fewer)
            };
            let (without_before, without_after) = (giving_up(before), giving_up(after));
            let is_better = without_before.0 > without_after.0 + 1e-9;
            let (lost, fewer) = if is_better { (pair[0], without_before.1) } else { (pair[1], without_after.1) };
            allowed = fewer;
            let is_of_an_end =
                (lost.stage == 0 && lost.first == 0) || (lost.stage == 3 && lost.end == path.stages.len());
            given_up.extend((lost.first..lost.end).filter(|_| is_of_an_end));
        }
    }

    /// Why the boundary between two runs does not pass.
    fn fault(&self, pair: &[Run], allowed: Allowed) -> Option<Fault<'_>> {
        let divides = |path: &Path| {
            let middle = |run: &Run| path.stages[(run.first + run.end - 1) / 2];
            middle(&pair[0]) != middle(&pair[1])
        };
        let alone = |(_, scores): &&(&str, Scores)| !divides(&best(scores, self.rule.alone * self.price, allowed));
        if let Some((group, others)) = self.without.iter().find(alone) {
            return Some(Fault { reason: format!("it rests on one group of signals alone: {group}"), others });
        }
        let has = |scores: &&Scores| best(scores, self.price, allowed).cut_between(pair).is_some();
        let frequency = self.drawn.iter().filter(has).count() as f64 / self.drawn.len().max(1) as f64;
        let rare = !self.drawn.is_empty() && frequency < 0.5;
        let reason = || format!("only {:.0} % of the resamples have it", 100.0 * frequency);
        rare.then(|| Fault { reason: reason(), others: &self.scores })
    }

    /// Why the division is not one into stages.
    pub(crate) fn objection(&self, path: &Path, chances: &Chances) -> Option<String> {
        if path.runs().len() < 2 {
            return Some("no boundary between stages passes the tests".to_owned());
        }
        if chances.all.p_value() > self.rule.significance {
            return Some(chances.all.in_words());
        }
        let without = || match chances.left_out {
            Some(kind) => format!("without the group {kind}"),
            None => "at a lower price for a stage".to_owned(),
        };
        let failed = chances.alone.p_value() > self.rule.significance_alone;
        failed.then(|| format!("{}, {}", without(), chances.alone.in_words()))
    }

    /// The best division of every resample, with the stages that were not given up.
    pub(crate) fn drawn_paths(&self, allowed: Allowed) -> Vec<Path> {
        self.drawn.iter().map(|scores| best(scores, self.price, allowed)).collect()
    }
}
