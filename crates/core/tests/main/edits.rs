//! Every kind of edit against arithmetic on single numbers; what an edit cannot do is an error.

use burn::tensor::Tensor;
use stratigraph_core::{
    Activation, ActivationCache, AttentionPair, CoreError, CorpusValues, Edit, EditContext, EditKind, EditTap, Hook,
    MeanOver, NoTap, PairMask, Positions, ResidualModel, RunModel, Tap, Taps, TokenWindows,
};
use stratigraph_testing::toy::{D_MODEL, N_LAYERS, SublayerRuns, windows};
use stratigraph_testing::{ByElement, Toy, host};

use crate::assert_close;

type Change = fn([usize; 4], f32) -> f32;

pub fn all_tokens(model: &Toy) -> Tensor<2, burn::tensor::Int> {
    windows().batch(0..2, &model.device())
}

/// The last residual stream when each number of one activation is changed.
pub fn by_element(edit: &Edit, change: impl Fn([usize; 4], f32) -> f32) -> Vec<f32> {
    let model = Toy::default();
    host(model.forward(all_tokens(&model), &mut ByElement { point: edit.point(), change }).unwrap())
}

pub fn edited(edits: &[Edit]) -> Vec<f32> {
    host(Toy::default().run_with_edits(&windows(), edits).unwrap())
}

pub fn unedited() -> Vec<f32> {
    edited(&[])
}

#[test]
fn edits_are_their_arithmetic() {
    let cases: [(Edit, Change); 14] = [
        (Edit::zero(Hook::ResidPre.at(1)), |_, _| 0.0),
        (Edit::zero(Hook::Embed.at(0)).with_positions(2..), |[_, p, ..], x| if p < 2 { x } else { 0.0 }),
        (Edit::zero(Hook::AttnOut.at(0)), |_, _| 0.0),
        (Edit::zero(Hook::MlpOut.at(2)).with_units([0, 3]), |[_, _, u, _], x| if u % 3 == 0 { 0.0 } else { x }),
        (Edit::scale(Hook::MlpPre.at(1), -1.5), |_, x| -1.5 * x),
        (Edit::zero(Hook::MlpPost.at(1)).with_units([5]), |[_, _, u, _], x| if u == 5 { 0.0 } else { x }),
        (Edit::zero(Hook::Z.at(1)).with_heads([1]), |[_, _, h, _], x| if h == 1 { 0.0 } else { x }),
        (Edit::scale(Hook::Q.at(2), 3.0).with_heads([0]).with_positions(1..3), |[_, p, h, _], x| {
            if h == 0 && (p == 1 || p == 2) { 3.0 * x } else { x }
        }),
        (Edit::zero(Hook::K.at(0)).with_positions(0..1), |[_, p, ..], x| if p == 0 { 0.0 } else { x }),
        (Edit::scale(Hook::V.at(0), 2.0), |_, x| 2.0 * x),
        (Edit::scale(Hook::Pattern.at(1), 0.5).with_positions(4..).with_heads([1]), |[_, h, q, _], x| {
            if h == 1 && q == 4 { 0.5 * x } else { x }
        }),
        (Edit::scale(Hook::ResidMid.at(0), 0.5), |_, x| 0.5 * x),
        (Edit::scale(Hook::ResidPost.at(2), 0.25).with_positions(Positions::only([4, 0])), |[_, p, ..], x| {
            if p == 0 || p == 4 { 0.25 * x } else { x }
        }),
        (
            Edit::add(Hook::ResidPre.at(2), [1.0f32, 0.0, -2.0, 0.5].as_slice()).with_positions(1..),
            |[_, p, u, _], x| x + if p == 0 { 0.0 } else { [1.0, 0.0, -2.0, 0.5][u] },
        ),
    ];
    for (edit, change) in cases {
        let found = edited(std::slice::from_ref(&edit));
        assert_close(&found, &by_element(&edit, change));
        assert_ne!(found, unedited(), "{edit} changes something");
    }
}

#[test]
fn edits_of_one_point_are_made_in_order() {
    let point = Hook::ResidPre.at(1);
    let found = edited(&[Edit::scale(point, 2.0), Edit::add(point, [1.0f32; D_MODEL].as_slice())]);
    assert_close(&found, &by_element(&Edit::zero(point), |_, x| 2.0 * x + 1.0));
}

#[test]
fn patches_put_another_run_in_place() {
    let model = Toy::default();
    let point = Hook::ResidPre.at(2);
    let other = TokenWindows::new(&[6, 6, 1, 2, 0], 5).unwrap();
    let cache = model.run_with_cache(&other, ActivationCache::at([point, Hook::Z.at(1)])).unwrap();
    let patch = Edit::patch(point, cache.activation(point).unwrap()).with_positions(3..);
    let values = host(cache.tensor(point).unwrap());
    let expected = by_element(&patch, |[_, p, u, _], x| if p < 3 { x } else { values[p * D_MODEL + u] });
    assert_close(&edited(&[patch]), &expected);

    let z = Hook::Z.at(1);
    let head = Edit::patch(z, cache.activation(z).unwrap()).with_heads([0]);
    let values = host(cache.heads(z).unwrap());
    let expected = by_element(&head, |[_, p, h, i], x| if h == 0 { values[(p * 2 + h) * 2 + i] } else { x });
    assert_close(&edited(&[head]), &expected);

    // Values of each window of the corpus: of the windows that run.
    let both = model.run_with_cache(&windows(), ActivationCache::at([point])).unwrap();
    let edits = [Edit::patch(point, both.activation(point).unwrap())];
    let tokens = other.batch(0..1, &model.device());
    let found = host(model.forward(tokens, &mut EditTap::new(&edits, vec![1])).unwrap());
    assert_close(&found, &unedited()[5 * D_MODEL..]);
}

/// Means are 7, and 8 of each position; the next window's activation is its number, the clean one's is its own.
struct Corpus;

impl Corpus {
    /// `[windows, 5, d_model]`, a number for each window.
    fn numbers(context: &EditContext, number: impl Fn(usize) -> usize) -> Activation {
        let of = |window: &usize| Tensor::full([1, 5, D_MODEL], number(*window) as f64, &Toy::default().device());
        Tensor::<3>::cat(context.windows.iter().map(of).collect(), 0).into()
    }
}

impl CorpusValues for Corpus {
    fn mean(&self, context: &EditContext, over: MeanOver) -> Option<Activation> {
        let mean = if over == MeanOver::Each { 8.0 } else { 7.0 };
        (context.hook == Hook::MlpOut)
            .then(|| Tensor::<3>::full([1, 1, D_MODEL], mean, &Toy::default().device()).into())
    }

    fn next_window(&self, context: &EditContext) -> Option<Activation> {
        Some(Corpus::numbers(context, |window| window + 1))
    }

    fn clean(&self, context: &EditContext) -> Option<Activation> {
        Some(Corpus::numbers(context, |window| window))
    }
}

#[test]
fn means_and_resampled_values_come_from_the_corpus() {
    let model = Toy::default();
    let run = |edit: &Edit| {
        let mut tap = EditTap::new(std::slice::from_ref(edit), vec![4, 9]).with_corpus(&Corpus);
        model.forward(all_tokens(&model), &mut tap).map(host)
    };
    let mean = Edit::mean(Hook::MlpOut.at(1));
    assert_close(&run(&mean).unwrap(), &by_element(&mean, |_, _| 7.0));
    let some = mean.clone().with_positions(1..).with_units([2]);
    let expected = by_element(&some, |[_, p, u, _], x| if p > 0 && u == 2 { 7.0 } else { x });
    assert_close(&run(&some).unwrap(), &expected);
    let each = Edit::mean_over(Hook::MlpOut.at(1), MeanOver::Each);
    assert_close(&run(&each).unwrap(), &by_element(&each, |_, _| 8.0));
    let resample = Edit::resample(Hook::AttnOut.at(0));
    assert_close(&run(&resample).unwrap(), &by_element(&resample, |[w, ..], _| [5.0, 10.0][w]));
    let frozen = Edit::freeze(Hook::ResidMid.at(0)).with_positions(2..);
    let expected = by_element(&frozen, |[w, p, ..], x| if p < 2 { x } else { [4.0, 9.0][w] });
    assert_close(&run(&frozen).unwrap(), &expected);
    let unmeasured = run(&Edit::mean(Hook::AttnOut.at(1))).unwrap_err();
    assert!(matches!(unmeasured, CoreError::BadEdit { .. }), "{unmeasured}");
    let no_corpus = model.run_with_edits(&windows(), &[mean]).unwrap_err().to_string();
    assert!(no_corpus.contains("its values come from another run, and this run has none"), "{no_corpus}");
}

#[test]
fn replaced_sublayers_are_not_computed() {
    let model = Toy::default();
    model.run_with_edits(&windows(), &[Edit::zero(Hook::AttnOut.at(1)), Edit::zero(Hook::MlpOut.at(0))]).unwrap();
    assert_eq!(model.take_runs(), SublayerRuns::new(N_LAYERS - 1, N_LAYERS - 1));
    let point = Hook::MlpOut.at(1);
    let patch = Edit::patch(point, Tensor::<3>::ones([1, 1, D_MODEL], &model.device()));
    let patched = host(model.run_with_edits(&windows(), std::slice::from_ref(&patch)).unwrap());
    assert_eq!(model.take_runs(), SublayerRuns::new(N_LAYERS, N_LAYERS - 1));
    assert_close(&patched, &by_element(&patch, |_, _| 1.0));

    // Whatever needs the activation itself makes it run.
    let some = [Edit::zero(Hook::AttnOut.at(1)).with_positions(1..), Edit::scale(Hook::MlpOut.at(1), 0.0)];
    model.run_with_edits(&windows(), &some).unwrap();
    assert_eq!(model.take_runs(), SublayerRuns::new(N_LAYERS, N_LAYERS));
    let twice = [Edit::zero(Hook::AttnOut.at(1)), Edit::add(Hook::AttnOut.at(1), [1.0f32; D_MODEL].as_slice())];
    let found = host(model.run_with_edits(&windows(), &twice).unwrap());
    assert_eq!(model.take_runs(), SublayerRuns::new(N_LAYERS, N_LAYERS));
    assert_close(&found, &by_element(&twice[0], |_, _| 1.0));
    let (zero, mut cache) = ([Edit::zero(Hook::AttnOut.at(1))], ActivationCache::at([Hook::AttnOut.at(1)]));
    let mut edits = EditTap::new(&zero, vec![0, 1]);
    model.forward(all_tokens(&model), &mut Taps::new([&mut cache as &mut dyn Tap, &mut edits])).unwrap();
    assert_eq!(model.take_runs(), SublayerRuns::new(N_LAYERS, N_LAYERS));
    assert!(host(cache.tensor(Hook::AttnOut.at(1)).unwrap()).iter().any(|x| *x != 0.0), "the cache came first");
}

#[test]
fn own_functions_know_where_they_are() {
    let edit = Edit::custom(Hook::ResidPre.at(1), "by window", |activation, context| {
        assert_eq!((context.layer, context.hook), (1, Hook::ResidPre));
        let windows: Vec<f32> = context.windows.iter().map(|window| *window as f32).collect();
        let factors = Tensor::<1>::from_floats(windows.as_slice(), &activation.device()).reshape([windows.len(), 1, 1]);
        Ok((activation.wide(Hook::ResidPre.at(1))? * factors).into())
    });
    assert_close(&edited(std::slice::from_ref(&edit)), &by_element(&edit, |[w, ..], x| w as f32 * x));
}

#[test]
fn an_edit_that_changes_the_shape_is_refused() {
    let narrow = Edit::custom(Hook::ResidPre.at(0), "narrow", |activation, _| {
        Ok(activation.wide(Hook::ResidPre.at(0))?.narrow(1, 0, 1).into())
    });
    let refused = Toy::default().run_with_edits(&windows(), &[narrow]).unwrap_err();
    let expected = CoreError::ShapeChanged { point: Hook::ResidPre.at(0), before: vec![2, 5, 4], after: vec![2, 1, 4] };
    assert_eq!(refused, expected);
}

#[test]
fn edits_that_would_never_fire_are_refused() {
    let refused = |edit: Edit, reason: &str| {
        let text = Toy::default().run_with_edits(&windows(), &[edit]).unwrap_err().to_string();
        assert!(text.contains(&format!("cannot be made: {reason}")), "`{text}` does not say `{reason}`");
    };
    let beyond = Hook::Z.at(N_LAYERS);
    refused(Edit::zero(beyond), &format!("there is no block {N_LAYERS}: {N_LAYERS} run"));
    for positions in [Positions::from(5), Positions::only([])] {
        let late = Edit::zero(Hook::MlpOut.at(0)).with_positions(positions);
        refused(late, "windows of 5 tokens have none of its positions");
    }
    // A tap finds out at the end of the run.
    let model = Toy::default();
    let edits = [Edit::zero(beyond)];
    let refused = model.forward(all_tokens(&model), &mut EditTap::new(&edits, vec![0, 1])).unwrap_err();
    assert_eq!(refused, CoreError::EditNeverFired { point: beyond });
}

#[test]
fn edits_that_do_not_fit_the_model_are_refused_with_a_reason() {
    let vector = [1.0f32; D_MODEL];
    let pairs = |pairs: &[AttentionPair]| PairMask::new("some", vec![pairs.to_vec()]);
    let values = |dims: [usize; 3]| Tensor::<3>::ones(dims, &Toy::default().device());
    let cases = [
        (Edit::zero(Hook::LnFinalNormalized.at(0)), "can be read, not edited"),
        (Edit::zero(Hook::Z.at(0)).with_heads([0, 2]), "there are 2 heads, 0 to 1"),
        (Edit::zero(Hook::MlpPost.at(0)).with_units([6]), "there are 6 units, 0 to 5"),
        (Edit::zero(Hook::MlpOut.at(0)).with_units([4]), "there are 4 units, 0 to 3"),
        (Edit::zero(Hook::MlpOut.at(0)).with_heads([0]), "has no heads"),
        (Edit::zero(Hook::Z.at(0)).with_units([0]), "choose heads here, not units"),
        (Edit::zero(Hook::Z.at(0)).with_heads([]), "it has no heads"),
        (Edit::scale(Hook::MlpOut.at(0), f64::NAN), "not finite"),
        (Edit::new(Hook::Pattern.at(0), EditKind::MaskKeys(Positions::All)), "at attn.hook_attn_scores"),
        (Edit::mask_distances(0, 0..=2), "distances begin at 1"),
        (Edit::new(Hook::ResidPre.at(0), EditKind::SkipLayer), "skipped at hook_resid_post"),
        (Edit::skip_layer(0).with_units([1]), "with all its units"),
        (Edit::add(Hook::Z.at(0), vector.as_slice()), "as many axes"),
        (
            Edit::add(Hook::MlpOut.at(0), &vector[..3]),
            "have the shape [1, 1, 3], and the activation has [windows, 5, 4]",
        ),
        (Edit::add(Hook::MlpOut.at(0), [f32::NAN; D_MODEL].as_slice()), "not all finite"),
        (Edit::patch(Hook::MlpOut.at(0), values([1, 4, D_MODEL])), "have the shape [1, 4, 4]"),
        (Edit::patch(Hook::MlpPost.at(0), values([1, 5, D_MODEL])), "the activation has [windows, 5, 6]"),
        (Edit::mask_distances(0, 5..=7), "windows of 5 tokens have no key 5 before a query"),
        (Edit::mask_keys(0, Positions::only([9])), "windows of 5 tokens have none of its keys"),
        (Edit::mask_keys(0, Positions::only([4])), "none of its keys before a query"),
        (Edit::mask_keys(0, Positions::only([2])).with_positions(Positions::only([0, 1])), "before a query at pos=0,1"),
        (Edit::mask_distances(0, 1..=2).with_positions(Positions::only([0])), "no key 1 before a query at pos=0"),
        (Edit::mask_pairs(0, pairs(&[])), "it pairs no query with a key"),
        (Edit::mask_pairs(0, pairs(&[AttentionPair::new(2, 2)])), "in window 0 the key 2 is not before its query 2"),
        (Edit::mask_pairs(0, pairs(&[AttentionPair::new(5, 2)])), "window 0 has 5 positions, and no query 5"),
        (Edit::new(Hook::Pattern.at(0), EditKind::MaskPairs(pairs(&[]))), "at attn.hook_attn_scores"),
        (Edit::mean_over(Hook::MlpOut.at(0), 5..), "windows of 5 tokens have no position 5"),
        (Edit::mean_over(Hook::Pattern.at(0), 1..), "averaged over windows"),
    ];
    for (edit, part) in cases {
        let message = Toy::default().run_with_edits(&windows(), std::slice::from_ref(&edit)).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains(&edit.to_string()), "{message}");
    }
    let shape = Toy::default().shape().with_hooks([Hook::ResidPre]);
    let missing = Edit::zero(Hook::Z.at(0)).check(&shape, N_LAYERS, 5);
    assert_eq!(missing, Err(CoreError::HookMissing { hook: Hook::Z }));
    let scaled = Toy::default().shape().with_hooks([Hook::Ln1Scale]);
    let many = Edit::scale(Hook::Ln1Scale.at(0), 2.0).with_units([1]).check(&scaled, N_LAYERS, 5).unwrap_err();
    assert!(many.to_string().contains("there are 1 units, 0 to 0"), "{many}");
    let shared = Toy::default().shape().with_heads(2, 1, 2);
    assert!(Edit::zero(Hook::Z.at(0)).with_heads([1]).check(&shared, N_LAYERS, 5).is_ok());
    assert!(Edit::zero(Hook::K.at(0)).with_heads([1]).check(&shared, N_LAYERS, 5).is_err(), "one head of keys");
}

#[test]
fn a_mask_acts_on_windows_that_have_its_keys() {
    let distances = Edit::mask_distances(0, 3..=5);
    assert!(distances.acts_within(4) && !distances.acts_within(3));
    let early = distances.with_positions(Positions::only([1, 2]));
    assert!(!early.acts_within(4), "no query there has a key that far back");
    let keys = Edit::mask_keys(0, Positions::only([2]));
    assert!(keys.acts_within(4) && !keys.acts_within(3), "the last query has no other key than itself to hide");
    let zero = Edit::zero(Hook::MlpOut.at(0)).with_positions(3..);
    assert!(zero.acts_within(4) && !zero.acts_within(3));
}

#[test]
fn no_edits_change_nothing() {
    let model = Toy::default();
    assert_eq!(unedited(), host(model.forward(all_tokens(&model), &mut NoTap).unwrap()));
}
