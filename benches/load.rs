//! From files to a model: opening, the tokenizer, the weights: `cargo bench --bench load`.
//!
//! The model in the box by default; `STRATIGRAPH_MODEL=path/to/model cargo bench --bench load` for another one.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stratigraph::prelude::*;
use stratigraph_benches::{backends, root};

fn load(criterion: &mut Criterion) {
    let path = std::env::var_os("STRATIGRAPH_MODEL").map_or_else(|| root().join("models/tiny"), PathBuf::from);
    let open = || Checkpoint::open(&path).expect("there is a model");
    let checkpoint = open();
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("open", &name), |bencher| bencher.iter(|| black_box(open())));
    group.bench_function(BenchmarkId::new("tokenizer", &name), |bencher| {
        bencher.iter(|| black_box(checkpoint.tokenizer().expect("it has one")));
    });
    for (backend, device) in backends() {
        group.bench_function(BenchmarkId::new(format!("weights/{backend}"), &name), |bencher| {
            bencher.iter(|| black_box(checkpoint.load(&device).expect("it is whole")));
        });
    }
    group.finish();
}

criterion_group!(benches, load);
criterion_main!(benches);
