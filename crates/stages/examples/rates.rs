//! How often the rule is wrong on synthetic profiles: `cargo run --release -p stratigraph-stages --example rates`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{LOUD, Noise, QUIET, Random, drift, from_shapes, in_random_order, known, recovered, walk, white};
use stratigraph_profile::Profile;
use stratigraph_stages::{Rule, Segmenter};

type Make = fn(usize, Noise, &mut Random) -> Profile;

const SEEDS: u64 = 200;

fn main() {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (100, 199);
    let segmenter = Segmenter::new(rule);
    let kinds: [(&str, Make); 4] = [
        ("white noise", |n, noise, random| from_shapes(n, noise, random, white)),
        ("random walks", |n, noise, random| from_shapes(n, noise, random, walk)),
        ("monotone drifts", |n, noise, random| from_shapes(n, noise, random, drift)),
        ("the layers of staged profiles in random order", in_random_order),
    ];
    println!("profiles without stages, half of them with much noise: said to have stages");
    for (kind, make) in kinds {
        let depths = [6, 12, 24, 48, 96];
        let has_stages = |n: usize, seed: u64| {
            let noise = if seed.is_multiple_of(2) { QUIET } else { LOUD };
            let profile = make(n, noise, &mut Random(7919 * seed + n as u64));
            segmenter.segment(&profile).has_stages()
        };
        let wrong: usize = depths.iter().map(|&n| (0..SEEDS).filter(|&seed| has_stages(n, seed)).count()).sum();
        println!("{kind:<48}{wrong:>6} of {}", depths.len() as u64 * SEEDS);
    }
    for (name, noise) in [("little", QUIET), ("much", LOUD)] {
        println!("profiles with four stages, {name} noise: boundaries within one layer, further off, not drawn");
        for n in [6, 8, 12, 24, 48, 96] {
            let found = |seed| recovered(&segmenter.segment(&known(n, noise, 31 * seed + n as u64)), n);
            let counts: Vec<_> = (0..SEEDS).map(found).collect();
            let (near, drawn): (usize, usize) = (counts.iter().map(|c| c[0]).sum(), counts.iter().map(|c| c[1]).sum());
            let all = 3 * SEEDS as usize;
            println!("{n:>3} layers{near:>10}{:>8}{:>8} of {all}", drawn - near, all - drawn);
        }
    }
}
