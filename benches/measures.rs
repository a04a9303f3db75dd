//! Measures of the model in the box on each backend: neurons by their weights, heads and probes on words, sublayers:
//! `cargo bench --bench measures`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stratigraph::prelude::*;
use stratigraph::probes::lexical::{
    SuffixTask, WicOptions, WicPair, WicSplit, WicTokens, WordEndOptions, WordEnds, Words, ensembles, merging_heads,
    wic_accuracy,
};
use stratigraph::probes::neurons::{NullSpace, vocabulary_profiles};
use stratigraph_benches::{backends, root, tiny, tokenizer};

const SAMPLE: &str = include_str!("../examples/data/sample.txt");

fn words() -> Words {
    Words::new(SAMPLE, tokenizer().encode_with_offsets(SAMPLE).expect("it is text"))
}

fn pairs(part: &str) -> WicTokens {
    let pairs = WicPair::read(&root().join("examples/data/wic"), part).expect("the pairs are committed");
    let encode = |text: &str| Ok::<_, Box<dyn std::error::Error>>(tokenizer().encode_with_offsets(text)?);
    WicTokens::new(&pairs, encode).expect("they are text").take(100)
}

/// Times `run` in a group of its name on every backend.
fn each_backend(criterion: &mut Criterion, name: &str, mut run: impl FnMut(&Decoder, &TokenWindows)) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    for (backend, device) in backends() {
        let (model, windows) = tiny(&device);
        group.bench_function(BenchmarkId::from_parameter(backend), |bencher| bencher.iter(|| run(&model, &windows)));
    }
}

fn weights(criterion: &mut Criterion) {
    each_backend(criterion, "vocabulary_profiles", |model, _| {
        black_box(vocabulary_profiles(model, |_| {}).expect("a decoder gives its weights"));
    });
    each_backend(criterion, "null_space", |model, _| {
        black_box(NullSpace::new(model, 2).expect("a decoder gives its weights").singular_values()[0]);
    });
}

fn of_words(criterion: &mut Criterion) {
    let words = words();
    let mut options = WordEndOptions::default();
    options.at_most = 64;
    let ends = WordEnds::find(&words, options).expect("the sample has long words");
    each_backend(criterion, "merging_heads", |model, _| {
        black_box(merging_heads(model, &ends, 64, |_| {}).expect("it runs"));
    });
    let task = SuffixTask::find(&words, "s", SuffixTask::CONTEXT, 64, 0).expect("the sample has words in -s");
    let texts = tokenizer().token_texts().expect("tokens have texts");
    each_backend(criterion, "ensembles", |model, _| {
        black_box(ensembles(model, &task, &texts, 8, |_| {}).expect("it runs"));
    });
    let split = WicSplit { train: pairs("train"), test: pairs("dev") };
    each_backend(criterion, "wic", |model, _| {
        let options = WicOptions { strengths: vec![100.0], folds: 2, ..WicOptions::default() };
        black_box(wic_accuracy(model, &split, &options, |_| {}).expect("it runs"));
    });
}

fn sublayers(criterion: &mut Criterion) {
    each_backend(criterion, "sublayers", |model, windows| {
        let kinds = [EditKind::Zero, EditKind::Mean(MeanOver::All), EditKind::Resample];
        let pairs = kinds.into_iter().flat_map(|kind| {
            [Sublayer::Attention, Sublayer::Mlp].map(|sublayer| Sweep::sublayers(sublayer, kind.clone()))
        });
        let study = pairs.fold(Study::new(model), Study::add);
        black_box(study.run(windows).expect("it runs"));
    });
}

criterion_group!(benches, weights, of_words, sublayers);
criterion_main!(benches);
