//! Runs, caches and samplers; what a model cannot run is refused at the entry.

use burn::tensor::{Int, Tensor};
use stratigraph_core::{
    ActivationCache, ActivationSampler, CoreError, Hook, HookPoint, HookSet, NoTap, ResidualModel, RunModel,
    SamplePositions, Tap, TokenWindows, observe,
};
use stratigraph_testing::toy::{D_MODEL, D_VOCAB, N_CTX, N_HEADS, N_LAYERS, windows};
use stratigraph_testing::{Toy, host};

#[test]
fn ids_and_windows_that_do_not_fit_are_refused() {
    let model = Toy::default();
    let forward = |ids: &[i32]| {
        let ids = Tensor::<1, Int>::from_ints(ids, &model.device()).reshape([1, ids.len()]);
        model.forward(ids, &mut NoTap).map(|_| ()).unwrap_err()
    };
    assert_eq!(forward(&[0, 8]), CoreError::TokenOutOfRange { id: 8, d_vocab: D_VOCAB });
    assert_eq!(forward(&[-1, 0]), CoreError::TokenOutOfRange { id: -1, d_vocab: D_VOCAB });
    assert_eq!(forward(&[0; N_CTX + 1]), CoreError::WindowTooLong { seq_len: N_CTX + 1, n_ctx: N_CTX });
    let cache = || ActivationCache::at([Hook::ResidPre]);
    let run = |ids: &[u32]| {
        let windows = TokenWindows::new(ids, ids.len()).unwrap();
        model.run_with_cache(&windows, cache()).map(|_| ()).unwrap_err()
    };
    assert_eq!(run(&[1, 9]), CoreError::TokenOutOfRange { id: 9, d_vocab: D_VOCAB });
    assert_eq!(run(&[1; N_CTX + 1]), CoreError::WindowTooLong { seq_len: N_CTX + 1, n_ctx: N_CTX });
    let none = windows().take(0);
    assert_eq!(model.run_with_cache(&none, cache()).map(|_| ()), Err(CoreError::NoWindows));
    let device = model.device();
    let from = |layer: usize, dims: [usize; 3]| {
        model.forward_from(layer, Tensor::zeros(dims, &device), &mut NoTap).map(|_| ()).unwrap_err()
    };
    assert_eq!(from(N_LAYERS + 1, [1, 2, D_MODEL]), CoreError::LayerOutOfRange { layer: 4, n_layers: N_LAYERS });
    assert_eq!(from(0, [1, 2, 5]), CoreError::OtherWidth { found: 5, d_model: D_MODEL });
    assert_eq!(from(0, [1, 7, D_MODEL]), CoreError::WindowTooLong { seq_len: 7, n_ctx: N_CTX });
    assert!(model.logits(Tensor::zeros([1, 1, 3], &device)).is_err());
}

#[test]
fn logits_are_the_unembedding_of_the_normed_stream() {
    let model = Toy::default();
    let resid = Tensor::<3>::from_floats([[[1.0, 2.0, 3.0, 4.0]]], &model.device());
    assert_eq!(host(model.logits(resid).unwrap()), [2.0, 4.0, 6.0, 8.0, 2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn a_cache_keeps_what_it_was_asked_for() {
    let model = Toy::default();
    let cache = ActivationCache::at([Hook::ResidPre]).and([Hook::Pattern.at(1), Hook::LnFinalNormalized.at(0)]);
    let cache = model.run_with_cache(&windows(), cache).unwrap();
    let expected = [
        Hook::LnFinalNormalized.at(0),
        Hook::ResidPre.at(0),
        Hook::ResidPre.at(1),
        Hook::ResidPre.at(2),
        Hook::Pattern.at(1),
    ];
    let points: Vec<HookPoint> = cache.points().collect();
    assert_eq!(points.len(), expected.len());
    assert!(expected.iter().all(|point| points.contains(point)), "{points:?}");
    assert_eq!(cache.heads(Hook::Pattern.at(1)).unwrap().dims(), [2, N_HEADS, 5, 5]);
    assert_eq!(
        cache.activation(Hook::Pattern.at(0)).map(|_| ()),
        Err(CoreError::NotCached { point: Hook::Pattern.at(0) })
    );
    assert!(matches!(cache.tensor(Hook::Pattern.at(1)), Err(CoreError::OtherRank { expected: 3, .. })));
    assert!(matches!(cache.heads(Hook::ResidPre.at(1)), Err(CoreError::OtherRank { expected: 4, .. })));
    let last = host(model.forward(windows().batch(0..2, &model.device()), &mut NoTap).unwrap() * 2.0);
    assert_eq!(host(cache.tensor(Hook::LnFinalNormalized.at(0)).unwrap()), last);
    let beyond = Hook::Z.at(N_LAYERS);
    let refused = model.run_with_cache(&windows(), ActivationCache::at([beyond])).map(|_| ());
    assert_eq!(refused, Err(CoreError::NotCached { point: beyond }));
}

/// A tap that wants one hook of a model that offers none.
struct Wants(Hook);

impl Tap for Wants {
    fn hooks(&self) -> HookSet {
        [self.0].into()
    }
}

/// The toy without hooks.
struct Closed(Toy);

impl ResidualModel for Closed {
    fn shape(&self) -> stratigraph_core::ModelShape {
        self.0.shape().with_hooks([])
    }

    fn device(&self) -> burn::tensor::Device {
        self.0.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> stratigraph_core::Result<Tensor<3>> {
        self.0.embed(tokens)
    }

    fn block(
        &self,
        site: stratigraph_core::Site,
        resid: Tensor<3>,
        _tap: &mut dyn Tap,
    ) -> stratigraph_core::Result<Tensor<3>> {
        self.0.block(site, resid, &mut NoTap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> stratigraph_core::Result<Tensor<2>> {
        self.0.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: std::ops::Range<usize>) -> stratigraph_core::Result<Tensor<2>> {
        self.0.unembed(normed, vocab)
    }
}

#[test]
fn a_hook_that_the_model_lacks_is_an_error() {
    let model = Closed(Toy::default());
    let tokens = || windows().batch(0..2, &model.device());
    let refused = model.forward(tokens(), &mut Wants(Hook::Z)).map(|_| ()).unwrap_err();
    assert_eq!(refused, CoreError::HookMissing { hook: Hook::Z });
    assert!(model.forward(tokens(), &mut Wants(Hook::Embed)).is_ok(), "every model shows its embedding");
    assert!(model.weights().is_none());
}

/// What a cache of the whole corpus holds at a position, `heads * d_head` numbers with the heads side by side.
fn row(cache: &ActivationCache, point: HookPoint, window: usize, position: usize) -> Vec<f32> {
    let activation = cache.activation(point).unwrap();
    let (dims, values) = (activation.dims(), activation.to_vec());
    if point.hook.is_square() {
        let [_, heads, queries, keys] = dims[..] else { unreachable!() };
        let start = |head: usize| ((window * heads + head) * queries + position) * keys;
        return (0..heads).flat_map(|head| values[start(head)..start(head) + keys].to_vec()).collect();
    }
    let width: usize = dims[2..].iter().product();
    values[(window * dims[1] + position) * width..][..width].to_vec()
}

fn corpus() -> TokenWindows {
    TokenWindows::new(&(0..25).map(|i| i * i % D_VOCAB as u32).collect::<Vec<_>>(), 5).unwrap()
}

#[track_caller]
fn check_sample(positions: SamplePositions, expected: &[(usize, usize)]) {
    let (model, corpus) = (Toy::default(), corpus());
    let points = [Hook::ResidPre.at(1), Hook::Z.at(0), Hook::Pattern.at(2), Hook::MlpPost.at(2)];
    let cache = model.run_with_cache(&corpus, ActivationCache::at(points)).unwrap();
    for batch in [1, 2, 5] {
        let mut sampler = ActivationSampler::new(positions.clone(), points);
        observe(&model, &corpus, batch, &mut [&mut sampler], |_| {}).unwrap();
        for point in points {
            let rows: Vec<f32> = expected.iter().flat_map(|(w, p)| row(&cache, point, *w, *p)).collect();
            crate::assert_close(sampler.values(point).unwrap(), &rows);
            assert_eq!(sampler.tensor(point, &model.device()).unwrap().dims()[0], expected.len());
        }
    }
}

#[test]
fn positions_are_sampled_evenly_over_the_corpus() {
    // 20 positions without the first of each window, one in three of them.
    let every_third = [(0, 1), (0, 4), (1, 3), (2, 2), (3, 1), (3, 4), (4, 3)];
    check_sample(SamplePositions::spaced(&corpus(), 1, 7).unwrap(), &every_third);
    check_sample(
        SamplePositions::spaced(&corpus(), 3, 100).unwrap(),
        &[(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4), (3, 3), (3, 4), (4, 3), (4, 4)],
    );
}

#[test]
fn last_positions_are_sampled_evenly_over_the_windows() {
    check_sample(SamplePositions::last(&corpus(), 100).unwrap(), &[(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]);
    check_sample(SamplePositions::last(&corpus(), 3).unwrap(), &[(0, 4), (2, 4), (4, 4)]);
}

#[test]
fn positions_are_sampled_as_they_are_listed() {
    let listed = SamplePositions::of_windows(vec![vec![2, 0], vec![], vec![1]]);
    check_sample(listed, &[(0, 2), (0, 0), (2, 1)]);
}

#[test]
fn residual_positions_and_single_units_are_sampled() {
    let (model, corpus) = (Toy::default(), corpus());
    let cache = model.run_with_cache(&corpus, ActivationCache::at([Hook::ResidPre, Hook::ResidPost])).unwrap();
    let last = || SamplePositions::last(&corpus, 2).unwrap();
    let mut residual = ActivationSampler::of_residual(last(), N_LAYERS, 0..N_LAYERS + 1);
    let none: [HookPoint; 0] = [];
    let mut units = ActivationSampler::new(last(), none).with_units(Hook::ResidPre.at(1), [3, 0]);
    observe(&model, &corpus, 2, &mut [&mut residual, &mut units], |_| {}).unwrap();
    for position in 0..=N_LAYERS {
        let point = HookPoint::of_residual(position, N_LAYERS);
        let rows = [row(&cache, point, 0, 4), row(&cache, point, 3, 4)].concat();
        crate::assert_close(residual.values(point).unwrap(), &rows);
    }
    let (a, b) = (row(&cache, Hook::ResidPre.at(1), 0, 4), row(&cache, Hook::ResidPre.at(1), 3, 4));
    crate::assert_close(units.values(Hook::ResidPre.at(1)).unwrap(), &[a[3], a[0], b[3], b[0]]);
    let absent = units.values(Hook::ResidPre.at(2)).map(|_| ());
    assert_eq!(absent, Err(CoreError::NotCached { point: Hook::ResidPre.at(2) }));
}

#[test]
fn samples_that_cannot_be_are_refused() {
    let (model, corpus) = (Toy::default(), corpus());
    let empty = |positions: Result<SamplePositions, CoreError>| matches!(positions, Err(CoreError::EmptySample { .. }));
    assert!(empty(SamplePositions::spaced(&corpus, 5, 10)) && empty(SamplePositions::spaced(&corpus, 0, 0)));
    assert!(empty(SamplePositions::last(&corpus, 0)));
    let run = |mut sampler: ActivationSampler| observe(&model, &corpus, 2, &mut [&mut sampler], |_| {}).unwrap_err();
    let beyond = SamplePositions::of_windows(vec![vec![], vec![5]]);
    let expected = CoreError::PositionOutOfRange { position: 5, window: 1, seq_len: 5 };
    assert_eq!(run(ActivationSampler::new(beyond, [Hook::Z])), expected);
    let last = || SamplePositions::last(&corpus, 9).unwrap();
    let point = Hook::MlpPost.at(0);
    let none: [HookPoint; 0] = [];
    let units = ActivationSampler::new(last(), none).with_units(point, [6]);
    assert_eq!(run(units), CoreError::UnitOutOfRange { point, unit: 6, width: 6 });
    let nowhere = Hook::Z.at(N_LAYERS);
    assert_eq!(run(ActivationSampler::new(last(), [nowhere])), CoreError::NotCached { point: nowhere });
}
