//! How often stated 95 % intervals cover the true mean, where autocorrelation and clusters are known.

use stratigraph_profile::statistics::WindowErrors;

/// SplitMix64 with normal numbers by Box and Muller.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

const REPETITIONS: usize = 20_000;

/// The share of intervals that contain 0, the true mean.
fn coverage(seed: u64, mut draw: impl FnMut(&mut Random) -> (WindowErrors, Vec<f64>)) -> f64 {
    let mut random = Random(seed);
    let mut covers = |_| {
        let (errors, values) = draw(&mut random);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let half = errors.basis().unwrap().half_width(errors.sem(&values).unwrap(), 0.95);
        mean.abs() <= half
    };
    (0..REPETITIONS).filter(|it| covers(*it)).count() as f64 / REPETITIONS as f64
}

fn assert_covers(share: f64, what: &str) {
    assert!((0.93..=0.97).contains(&share), "{what}: the intervals cover in {:.1} %", 100.0 * share);
}

/// `n` windows of one text, each like the one before by `correlation`.
fn autocorrelated(random: &mut Random, n: usize, correlation: f64) -> Vec<f64> {
    let mut value = random.normal();
    let mut next = || {
        let now = value;
        value = correlation * value + (1.0 - correlation * correlation).sqrt() * random.normal();
        now
    };
    (0..n).map(|_| next()).collect()
}

#[test]
fn intervals_over_windows_cover_whatever_the_autocorrelation() {
    let cells = [(16, 0.0), (16, 0.2), (32, 0.0), (32, 0.3), (32, 0.5), (64, 0.0), (64, 0.5), (128, 0.3), (128, 0.6)];
    for (seed, (n, correlation)) in cells.into_iter().enumerate() {
        let errors = WindowErrors::new(n, &[]);
        let share = coverage(seed as u64, |random| (errors.clone(), autocorrelated(random, n, correlation)));
        assert_covers(share, &format!("{n} windows correlated by {correlation}"));
    }
}

#[test]
fn intervals_that_take_windows_as_independent_do_not_cover() {
    // Seven contrasts at most are all that seven windows have; so many windows without correction are in clusters of one.
    let n = 64;
    let alone: Vec<usize> = (0..n).collect();
    let errors = WindowErrors::new(n, &alone);
    let share = coverage(1, |random| (errors.clone(), autocorrelated(random, n, 0.5)));
    assert!(share < 0.8, "the simulation is too easy: {share}");
}

#[test]
fn intervals_over_documents_cover_whatever_their_windows_share() {
    for (seed, (documents, shared)) in [(8, 0.1), (8, 0.6), (12, 0.3), (24, 0.3), (48, 0.6)].into_iter().enumerate() {
        let draw = |random: &mut Random| {
            let sizes: Vec<usize> = (0..documents).map(|_| 1 + (random.bits() % 4) as usize).collect();
            let document = sizes.iter().enumerate().flat_map(|(index, &size)| std::iter::repeat_n(index, size));
            let document: Vec<usize> = document.collect();
            let own: Vec<f64> = sizes.iter().map(|_| random.normal()).collect();
            let mut value = |&index: &usize| f64::sqrt(shared) * own[index] + f64::sqrt(1.0 - shared) * random.normal();
            let values = document.iter().map(&mut value).collect();
            (WindowErrors::new(document.len(), &document), values)
        };
        let share = coverage(100 + seed as u64, draw);
        assert_covers(share, &format!("{documents} documents whose windows share {shared}"));
    }
}
