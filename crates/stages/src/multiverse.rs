//! What other rules make of the same curves: [`Multiverse`].

use stratigraph_profile::RuleBand;

use crate::path::{Allowed, Path, Run, best};
use crate::reading::{Means, Setting, View, Views};
use crate::robust::rounded;
use crate::signal::SignalSet;
use crate::{Reading, Rule};

/// One notch of each setting of the grid: see [`Rule::multiverse`].
const STANDS_OUT: f64 = 0.5;
const ALWAYS: f64 = 0.05;
const PRICE: f64 = 0.5;
const RATIO: f64 = 0.1;

/// The best division by every rule of the grid.
pub(crate) struct Multiverse {
    paths: Vec<Path>,
}

impl Multiverse {
    /// Of the curves of a profile, with the stages that were not given up. Each metric of the lens is tried alone.
    pub(crate) fn new(set: &SignalSet, means: &Means, setting: &Setting, (rule, allowed): (&Rule, Allowed)) -> Self {
        let mut paths = Vec::new();
        for rule in grid(rule) {
            let views = Views::new(set, means, setting, &rule);
            let price = views.price(&rule);
            let lenses: Vec<&str> =
                views.heard().filter(|view| is_lens(view)).map(|view| &*view.signal.curve).collect();
            let scores = |lens: &str| views.scores(&rule, |view| !is_lens(view) || view.signal.curve == lens);
            let each = lenses.iter().copied().chain(lenses.is_empty().then_some(""));
            paths.extend(each.map(|lens| best(&scores(lens), price, allowed)));
        }
        Self { paths }
    }

    /// Where the rules that have a boundary put it; a boundary is had between the same two stages.
    pub(crate) fn band(&self, pair: &[Run], at: usize) -> Option<RuleBand> {
        let cuts: Vec<usize> = self.paths.iter().filter_map(|path| path.cut_between(pair)).collect();
        let n_rules = self.paths.len();
        (n_rules > 0).then(|| RuleBand {
            low: cuts.iter().copied().fold(at, usize::min),
            high: cuts.iter().copied().fold(at, usize::max),
            frequency: rounded(cuts.len() as f64 / n_rules as f64),
            n_rules,
        })
    }
}

fn is_lens(view: &View) -> bool {
    view.signal.reading == Reading::Approach
}

/// The rule with each setting one notch down, as it is, and one notch up, in all combinations.
fn grid(rule: &Rule) -> Vec<Rule> {
    let notches = [-1.0, 0.0, 1.0];
    let mut rules = Vec::with_capacity(81);
    for stands in notches {
        for always in notches {
            for price in notches {
                for ratio in notches {
                    let mut other = rule.clone();
                    other.stands_out += STANDS_OUT * stands;
                    other.always = (rule.always + ALWAYS * always).clamp(0.51, 0.99);
                    other.stage_price = (rule.stage_price + PRICE * price).max(0.0);
                    other.least_ratio = (rule.least_ratio + RATIO * ratio).max(1.001);
                    // Special without doubt stays as far above as it is.
                    other.outlier = rule.outlier + STANDS_OUT * stands;
                    rules.push(other);
                }
            }
        }
    }
    rules
}
