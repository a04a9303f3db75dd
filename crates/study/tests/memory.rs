//! That a study stays within its budget, and what many interventions take: these tests are alone in their process, whose memory
//! they measure, and run one after the other.

#[path = "main/small.rs"]
mod small;

use peak_alloc::PeakAlloc;
use small::{Small, assert_close};
use std::sync::{Mutex, PoisonError};

use stratigraph_core::{Edit, Hook, ModelShape, TokenWindows};
use stratigraph_profile::Axis;
use stratigraph_study::measurements::ResidualGeometry;
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::{Budget, Sweep};
use stratigraph_testing::device;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Held by the test whose memory is measured.
static MEASURED: Mutex<()> = Mutex::new(());

/// A model whose activations are larger than whatever else a process takes.
fn model() -> Small {
    Small::of_shape(ModelShape::new(6, 256, 8192), &device())
}

fn windows(n: u32) -> TokenWindows {
    let ids: Vec<u32> = (0..n * 64).map(|i| i * 7919 % 8192).collect();
    TokenWindows::new(&ids, 64).unwrap()
}

/// What a study finds, and the most bytes that it took.
fn measured(study: Study, windows: &TokenWindows) -> (Findings, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let found = study.run(windows).unwrap();
    (found, ALLOCATOR.peak_usage() - before)
}

#[test]
fn a_budget_is_kept() {
    let _alone = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let (model, windows) = (model(), windows(64));
    let mut first = None;
    for bytes in [16 << 20, 40 << 20, 100 << 20] {
        let study = Study::new(&model).add(Sweep::delete()).add(Sweep::swap());
        let (found, peak) = measured(study.with_budget(Budget { bytes, ..Budget::default() }), &windows);
        assert!(peak <= bytes, "{peak} bytes of a budget of {bytes}");
        assert!(peak > bytes / 4, "{peak} bytes of a budget of {bytes}, which should be used");
        assert_close(&found, first.get_or_insert_with(|| found.clone()));
    }
}

/// Attention written as zero at one position of one layer, for every layer and position: 384 interventions, beside six deletions.
/// Of the 384 residual streams of half a megabyte each, less than a sixth are alive at once: one for each layer and 32 that wait or
/// have ended, and those on their way through a layer.
#[test]
fn many_interventions_take_little_more_than_deletions() {
    const STREAM: usize = 8 * 64 * 256 * size_of::<f32>();
    let _alone = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let (model, windows) = (model(), windows(8));
    let points = (0..6).flat_map(|layer| (0..64).map(move |position| (layer, position)));
    let points = points.map(|(layer, position)| (format!("{layer}:{position}"), (layer, position))).collect::<Vec<_>>();
    let many = Sweep::over("zero_attn_at", "layer and position", points, |context, &(layer, position)| {
        Ok(context.full().edit(Edit::zero(Hook::AttnOut.at(layer)).with_positions(position..=position)))
    });
    let (_, of_deletions) = measured(Study::new(&model).add(Sweep::delete()), &windows);
    let (found, of_many) = measured(Study::new(&model).add(many), &windows);
    let curve = found.curve("zero_attn_at_kl").unwrap();
    assert!(
        matches!(curve.axis, Axis::Labelled { .. }) && curve.mean.len() == 384 && curve.mean.iter().all(|kl| *kl > 0.0)
    );
    let most = of_deletions + 64 * STREAM;
    assert!(of_many < most, "{of_many} bytes, and {of_deletions} for deletions; {most} at most");
}

/// Bytes of the process in memory.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Studies one after the other for ten minutes, or as many seconds as `STRATIGRAPH_SOAK_SECONDS` says: what is allocated between two
/// studies stays what it was after the first tenth of the time, and what the process holds is on average no more in the last
/// third than in the first. The latter goes up and down by a fifth from study to study, as the allocator gives pages back or keeps them.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes ten minutes"]
fn minutes_of_studies_keep_their_memory() {
    let _alone = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = std::env::var("STRATIGRAPH_SOAK_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    let (model, windows) = (model(), windows(8));
    let started = std::time::Instant::now();
    let (mut n_studies, mut warm, mut last, mut resident_after) = (0, None, 0, Vec::new());
    while started.elapsed().as_secs() < seconds {
        let study = Study::new(&model).add(Sweep::delete()).add(Sweep::swap()).add(ResidualGeometry::default());
        assert!(study.run(&windows).unwrap().into_profile().to_json().len() > 1000);
        n_studies += 1;
        let (elapsed, held, process) = (started.elapsed().as_secs(), ALLOCATOR.current_usage(), resident());
        if elapsed >= seconds / 10 {
            resident_after.push(process as f64);
            warm = warm.or(Some(held));
        }
        if elapsed / 30 > last {
            last = elapsed / 30;
            println!("{elapsed} s, {n_studies} studies: {held} bytes allocated, {process} in memory");
        }
        let Some(held_before) = warm else { continue };
        assert!(
            held < held_before + (1 << 20),
            "{held} bytes allocated after {n_studies} studies, {held_before} before"
        );
    }
    let third = resident_after.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, end) = (mean(&resident_after[..third]), mean(&resident_after[2 * third..]));
    println!("{n_studies} studies in {seconds} s: {first:.0} bytes in memory in the first third, {end:.0} in the last");
    assert!(end < 1.1 * first, "{end} bytes in memory in the last third of {n_studies} studies, {first} in the first");
}
