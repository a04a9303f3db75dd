//! Sweeps and measures of a trained model on each backend, and the readout reduced in both ways:
//! `cargo bench --bench sweep`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stratigraph::prelude::*;
use stratigraph::probes::readout::Reduction;
use stratigraph::probes::scores::Scores;
use stratigraph::study::measurements::by_name;
use stratigraph_benches::{WINDOWS, backends, config, tiny, windows};

/// Every deletion and every swap; and what is measured inside the unchanged model.
fn study(criterion: &mut Criterion) {
    for (name, measurements) in [("sweep", ["delete", "swap"]), ("inside", ["attention", "geometry"])] {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for (backend, device) in backends() {
            let (model, windows) = tiny(&device);
            group.bench_function(BenchmarkId::from_parameter(backend), |bencher| {
                bencher.iter(|| {
                    let chosen = measurements.iter().map(|name| by_name(name).expect("it is known"));
                    let study = chosen.fold(Study::new(&model), Study::add_boxed);
                    black_box(study.run(&windows).expect("it runs"))
                });
            });
        }
    }
}

/// One residual stream against another.
fn readout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("readout");
    group.sample_size(10);
    let Ok(device) = Backend::Flex.device() else { return };
    let model = config().init(0, &device).expect("the configuration is sound");
    let windows = windows();
    let resid = model.embed(windows.batch(0..WINDOWS, &device)).expect("it runs");
    for reduction in [Reduction::Host, Reduction::Device] {
        let readout = Readout::new(&model).with_reduction(reduction);
        group.bench_function(BenchmarkId::from_parameter(format!("{reduction:?}")), |bencher| {
            bencher.iter(|| {
                let mut scores = [Scores::default(), Scores::default()];
                let streams = vec![resid.clone(), resid.clone()];
                readout.compare(&windows, 0..WINDOWS, streams, 0, &mut scores).expect("it runs");
                black_box(scores)
            });
        });
    }
}

criterion_group!(benches, study, readout);
criterion_main!(benches);
