//! How often the rule is wrong on synthetic profiles: `cargo run --release -p stratigraph-stages --example rates`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::ops::Range;

use common::nulls::NULLS;
use common::truth::{Truth, cuts};
use common::{LOUD, Noise, QUIET, Random};
use rayon::prelude::*;
use stratigraph_profile::{Segmentation, Shape, Stage};
use stratigraph_stages::{Rule, Segmenter};

const DEPTHS: [usize; 4] = [12, 24, 48, 80];

/// Seeds of each cell: the first argument of the program sets another number, the second another first seed.
fn seeds() -> Range<u64> {
    let argument = |at: usize| std::env::args().nth(at).and_then(|it| it.parse().ok());
    let first = argument(2).unwrap_or(0);
    first..first + argument(1).unwrap_or(200)
}

fn main() {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (100, 499);
    let segmenter = Segmenter::new(rule);
    println!("seeds {:?} for each cell, half of them with much noise", seeds());
    without_stages(&segmenter);
    with_stages(&segmenter);
}

fn every(segmenter: &Segmenter, make: impl Fn(u64) -> stratigraph_profile::Profile + Sync) -> Vec<Segmentation> {
    seeds().into_par_iter().map(|seed| segmenter.segment(&make(seed))).collect()
}

fn noise(seed: u64) -> Noise {
    if seed.is_multiple_of(2) { QUIET } else { LOUD }
}

fn without_stages(segmenter: &Segmenter) {
    println!("\nprofiles without stages: with a sharp boundary / with a supported one / with any, of 100");
    println!("{:44}{}", "", DEPTHS.map(|n| format!("{n:>4} layers       ")).concat());
    for (kind, make) in NULLS {
        let cell = |n: usize| {
            let found = every(segmenter, |seed| make(n, noise(seed), &mut Random(7919 * seed + n as u64)));
            let share = |of: fn(&Segmentation) -> bool| {
                100.0 * found.iter().filter(|it| of(it)).count() as f64 / found.len() as f64
            };
            let sharp = share(|it| it.boundaries.iter().any(|boundary| boundary.is_sharp()));
            let supported = share(|it| it.boundaries.iter().any(|boundary| boundary.is_supported()));
            format!("{sharp:>5.1}/{supported:>5.1}/{:>5.1} ", share(|it| it.has_stages()))
        };
        println!("{kind:44}{}", DEPTHS.map(cell).concat());
    }
}

/// What is true of a boundary.
struct Cell {
    name: &'static str,
    truth: fn(usize) -> Truth,
    /// The boundary that is gradual.
    gradual: Option<usize>,
}

fn cell(name: &'static str, truth: fn(usize) -> Truth) -> Cell {
    Cell { name, truth, gradual: None }
}

/// One boundary that is a sixth or a quarter of the layers wide, four at least, with room on both sides.
fn wide(n: usize, index: usize) -> Truth {
    let mut truth = Truth::steps(n);
    let part = |share: f64| (share * n as f64).round() as usize;
    match index {
        0 => truth.cuts[0] = part(0.25),
        1 => truth.cuts[1] = part(0.65),
        _ => (truth.cuts[1], truth.cuts[2]) = (part(0.55), part(0.8)),
    }
    let width = (n as f64 / [6.0, 4.0, 6.0][index]).max(4.0);
    let mut widths = [0.0; 3];
    widths[index] = width;
    truth.with_widths(widths)
}

fn cells() -> [Cell; 8] {
    [
        cell("steps", Truth::steps),
        cell("steps, each curve one layer off or none", |n| Truth::steps(n).with_jitter(1)),
        cell("steps, an odd layer right behind detokenization", |n| Truth::steps(n).with_outlier(cuts(n)[0])),
        cell("steps, an odd layer one further", |n| Truth::steps(n).with_outlier(cuts(n)[0] + 1)),
        cell("steps, an odd layer right before sharpening", |n| Truth::steps(n).with_outlier(cuts(n)[2] - 1)),
        Cell { gradual: Some(0), ..cell("gradual from detokenization to feature engineering", |n| wide(n, 0)) },
        Cell { gradual: Some(1), ..cell("gradual from feature engineering to ensembling", |n| wide(n, 1)) },
        Cell { gradual: Some(2), ..cell("gradual from ensembling to sharpening", |n| wide(n, 2)) },
    ]
}

/// Of one boundary in all profiles of a cell.
fn tally(found: &[Segmentation], cell: &Cell, cut: usize, index: usize) -> String {
    let boundary = |it: &'_ Segmentation| it.boundary(Stage::ALL[index], Stage::ALL[index + 1]).cloned();
    let found: Vec<_> = found.iter().filter_map(boundary).collect();
    let share = |n: usize| 100.0 * n as f64 / found.len().max(1) as f64;
    let intervals = || found.iter().filter_map(|it| it.interval);
    let covered = share(intervals().filter(|it| it.low <= cut && cut <= it.high).count());
    let length = intervals().map(|it| it.high - it.low + 1).sum::<usize>() as f64 / found.len().max(1) as f64;
    let expected = if cell.gradual == Some(index) { Shape::Gradual } else { Shape::Sharp };
    let told = share(found.iter().filter(|it| it.transition.is_some_and(|it| it.shape == expected)).count());
    let supported = share(found.iter().filter(|it| it.is_supported()).count());
    let all = seeds().count() as f64;
    format!("{:>6.1}{covered:>9.1}{length:>8.1}{told:>8.1}{supported:>9.1}", 100.0 * found.len() as f64 / all)
}

fn with_stages(segmenter: &Segmenter) {
    println!(
        "\nprofiles with four stages, in %: boundaries found; of these: the interval holds the truth, its mean length in layers,"
    );
    println!("sharp and gradual told right, supported");
    for cell in cells() {
        println!(
            "{}\n{:>10}{:>10}{:>6}{:>9}{:>8}{:>8}{:>9}",
            cell.name, "layers", "", "found", "covered", "length", "told", "supported"
        );
        for n in DEPTHS {
            let truth = (cell.truth)(n);
            let found = every(segmenter, |seed| truth.profile(n, noise(seed), 31 * seed + n as u64));
            for (index, name) in ["D to F", "F to P", "P to R"].into_iter().enumerate() {
                if cell.gradual.is_some_and(|gradual| gradual != index) {
                    continue;
                }
                println!("{n:>10}{name:>10}{}", tally(&found, &cell, truth.cuts[index], index));
            }
        }
    }
}
