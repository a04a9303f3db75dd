//! Windows that grow token by token: with keys and values kept for each slot, every family gives the tokens that whole windows
//! give, under any plan and edits.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use stratigraph_core::{
    Activation, ActivationCache, CoreError, Edit, EditContext, EditFunction, EditKind, EditValues, Hook, HookSet,
    NoTap, Positions, ResidualModel, Result, RunModel, Site, SplitMix64, Tap,
};
use stratigraph_models::{Checkpoint, Decoder, LoadOptions};
use stratigraph_surgery::{IncrementalRun, Intervention, LayerPlan, SurgeryError};
use stratigraph_testing::{
    Backend, FAMILIES, TestDevice, assert_close, assert_each_close, device, devices, fixture, host, skipped,
};

/// Rounding, in parts of the largest logit of a row; logits that are closer together may change places.
const ROUNDING: f32 = 3e-5;

fn load(name: &str, device: &Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

/// How much is generated.
struct Amount {
    /// Prompts of each length under each intervention.
    rows: usize,
    /// Lengths of prompts.
    lengths: &'static [usize],
    n_new: usize,
    n_interventions: usize,
}

impl Amount {
    /// 200 prompts a family on flex. ndarray gets 20. A device that compiles kernels for each shape gets 12, since every step
    /// has a shape of its own: on a software adapter a family takes half a minute, most of it in the compiler
    /// ([`two_hundred_prompts_of_every_family_on_a_graphics_adapter`]).
    fn on(backend: Backend) -> Self {
        match backend {
            Backend::Flex => Self { rows: 20, lengths: &[1, 8], n_new: 10, n_interventions: 5 },
            Backend::Wgpu => Self { rows: 4, lengths: &[5], n_new: 3, n_interventions: 3 },
            _ => Self { rows: 5, lengths: &[1, 8], n_new: 8, n_interventions: 2 },
        }
    }
}

fn families_on(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Flex => &FAMILIES,
        Backend::Wgpu => &["gemma3", "bloom", "llama-gqa", "gpt2", "mixtral"],
        _ => &["gemma3", "bloom", "gpt-oss", "phi3", "gpt2", "mixtral"],
    }
}

/// Repeated, deleted, parallel, swapped layers, and edits at absolute positions before and after the end of the prompts.
fn interventions(n_layers: usize) -> [Intervention; 5] {
    let (full, last) = (LayerPlan::full(n_layers), n_layers - 1);
    let repeated = full.repeat(0..n_layers).unwrap().edit(Edit::zero(Hook::MlpOut.at(1)).with_positions(6..));
    let edited = Intervention::none(n_layers)
        .edit(Edit::mask_distances(0, 2..=3).with_positions(4..))
        .edit(Edit::zero(Hook::Z.at(1)).with_heads([0]).with_positions(Positions::only([3, 8, 11])))
        .edit(Edit::scale(Hook::K.at(last), 0.25).with_positions(Positions::only([2, 9])))
        .edit(Edit::skip_layer(last).with_positions(Positions::only([5, 9])))
        .edit(Edit::mask_keys(1, Positions::only([0, 9])))
        .edit(Edit::scale(Hook::Pattern.at(0), 0.5).with_positions(5..));
    [
        repeated,
        edited,
        full.delete(1).unwrap().into(),
        full.parallel(0..2).unwrap().into(),
        full.swap(0, last).unwrap().repeat_block(0..2, 2).unwrap().into(),
    ]
}

fn prompts(rows: usize, length: usize, model: &Decoder, random: &mut SplitMix64) -> Vec<Vec<u32>> {
    let mut prompt = || (0..length).map(|_| random.below(model.d_vocab()) as u32).collect();
    (0..rows).map(|_| prompt()).collect()
}

/// The logits of each window's last position.
fn logits(model: &Decoder, resid: Tensor<3>) -> Vec<Vec<f32>> {
    let [_, pos, _] = resid.dims();
    let all = host(model.logits(resid.narrow(1, pos - 1, 1)).unwrap());
    all.chunks(model.d_vocab()).map(<[f32]>::to_vec).collect()
}

fn top(logits: &[f32]) -> u32 {
    (0..logits.len()).fold(0, |best, id| if logits[id] > logits[best] { id } else { best }) as u32
}

/// Generates greedily with kept keys and values and with whole windows side by side, on the tokens of the latter; returns how
/// many tokens were equal, and how many differ between logits that are equal but for rounding.
fn compare(model: &Decoder, intervention: &Intervention, prompts: &[Vec<u32>], n_new: usize, what: &str) -> [usize; 2] {
    let longest = prompts[0].len() + n_new;
    let start = || IncrementalRun::new(model, intervention, prompts.len(), longest).unwrap();
    let (mut kept, mut whole) = (start(), start().recomputing());
    assert_eq!((kept.recomputes_because(), whole.recomputes_because().is_some()), (None, true), "{what}");
    let (mut tokens, mut counts) = (prompts.to_vec(), [0, 0]);
    for step in 0..n_new {
        let found = logits(model, kept.extend(&tokens, &mut NoTap).unwrap());
        let expected = logits(model, whole.extend(&tokens, &mut NoTap).unwrap());
        for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = format!("{what}, row {row}, step {step}");
            assert_close(found, expected, ROUNDING, &what);
            let (found, right) = (top(found), top(expected));
            counts[usize::from(found != right)] += 1;
            let size = expected.iter().fold(0.0f32, |size, x| size.max(x.abs()));
            let gap = expected[right as usize] - expected[found as usize];
            assert!(gap <= 2.0 * ROUNDING * size, "{what}: token {found}, expected {right}");
            tokens[row] = vec![right];
        }
    }
    counts
}

#[test]
fn kept_keys_and_values_give_the_tokens_of_whole_windows() {
    for TestDevice { backend, device } in devices() {
        compare_families(families_on(backend), Amount::on(backend), backend, &device);
    }
}

/// As many prompts on a graphics adapter as on flex, with every family: far too long for every run on a software adapter.
#[test]
#[ignore = "takes an hour on a software adapter"]
fn two_hundred_prompts_of_every_family_on_a_graphics_adapter() {
    let Some(on) = devices().into_iter().find(|on| on.backend == Backend::Wgpu) else {
        return skipped("there is no graphics adapter");
    };
    let amount = Amount { rows: 67, lengths: &[5], n_new: 3, n_interventions: 3 };
    compare_families(&FAMILIES, amount, on.backend, &on.device);
}

fn compare_families(families: &[&str], amount: Amount, backend: Backend, device: &Device) {
    let Amount { rows, lengths, n_new, n_interventions } = amount;
    for name in families {
        let (start, model, mut random) = (Instant::now(), load(name, device), SplitMix64::new(11));
        let (mut equal, mut tied) = (0, 0);
        for intervention in interventions(model.n_layers()).iter().take(n_interventions) {
            for &length in lengths {
                let prompts = prompts(rows, length, &model, &mut random);
                let what = format!("{name} on {backend}, {intervention}, prompts of {length}");
                let [same, other] = compare(&model, intervention, &prompts, n_new, &what);
                (equal, tied) = (equal + same, tied + other);
            }
        }
        assert_eq!(equal + tied, rows * lengths.len() * n_interventions * n_new);
        assert!(100 * tied <= equal, "{name} on {backend}: {tied} of {equal} tokens lie between equal logits");
        println!("{name} on {backend}: {equal} tokens equal, {tied} between equal logits, {:.0?}", start.elapsed());
    }
}

#[test]
fn a_cache_of_parts_is_that_of_whole_windows() {
    let (device, hooks) = (device(), [Hook::Embed, Hook::ResidPre, Hook::K, Hook::Z, Hook::AttnScores, Hook::Pattern]);
    let hooks = || hooks.into_iter().chain([Hook::MlpPost, Hook::ResidPost, Hook::LnFinalNormalized]);
    for name in ["gemma3", "bloom", "gpt-oss", "llama-gqa", "mixtral", "neox-parallel", "gpt2"] {
        let model = load(name, &device);
        let plan: Intervention = "0-1-0-1".parse().unwrap();
        let prompts = prompts(2, 12, &model, &mut SplitMix64::new(3));
        let mut whole = ActivationCache::at(hooks());
        IncrementalRun::new(&model, &plan, 2, 12).unwrap().recomputing().extend(&prompts, &mut whole).unwrap();
        let mut parts = ActivationCache::at(hooks());
        let mut run = IncrementalRun::new(&model, &plan, 2, 12).unwrap();
        for positions in [0..7, 7..8, 8..11, 11..12] {
            let part: Vec<_> = prompts.iter().map(|ids| ids[positions.clone()].to_vec()).collect();
            run.extend(&part, &mut parts).unwrap();
        }
        for point in whole.points() {
            let [found, expected] = [&parts, &whole].map(|cache| cache.activation(point).unwrap());
            assert_eq!(found.dims(), expected.dims(), "{name}: {point}");
            assert_each_close(&found.to_vec(), &expected.to_vec(), 5e-5, &format!("{name}: {point}"));
        }
        assert_eq!(parts.points().count(), 2 + 4 * 7);
    }
}

/// LongRoPE's angles depend on the length of the window: where it grows past the original context, all keys are made anew.
#[test]
fn a_window_that_changes_its_angles_runs_again() {
    let model = load("phi3", &device());
    let incremental = model.incremental().unwrap();
    assert!(incremental.continues(3, 8) && !incremental.continues(8, 9) && incremental.continues(9, 30));
    let none = Intervention::none(model.n_layers());
    let prompts = prompts(3, 6, &model, &mut SplitMix64::new(5));
    assert_eq!(compare(&model, &none, &prompts, 8, "phi3"), [3 * 8, 0]);
}

#[test]
fn a_streamed_model_keeps_keys_and_values_too() {
    let checkpoint = Checkpoint::open(fixture("gemma3")).unwrap();
    let (model, streamed) = (checkpoint.load(&device()).unwrap(), checkpoint.stream(&device()).unwrap());
    let none = Intervention::none(model.n_layers());
    let mut runs =
        [&model as &dyn ResidualModel, &streamed].map(|model| IncrementalRun::new(model, &none, 1, 9).unwrap());
    for tokens in [vec![5, 9, 3, 1, 7, 7], vec![2], vec![8]] {
        let [found, expected] =
            runs.each_mut().map(|run| host(run.extend(std::slice::from_ref(&tokens), &mut NoTap).unwrap()));
        assert_eq!(found, expected);
    }
}

/// A tap that knows nothing of parts.
struct Lengths(Vec<usize>);

impl Tap for Lengths {
    fn hooks(&self) -> HookSet {
        [Hook::MlpOut].into()
    }

    fn visit(&mut self, _: Site, _: Hook, activation: Activation) -> Result<Activation> {
        self.0.push(activation.dims()[1]);
        Ok(activation)
    }
}

#[test]
fn what_needs_all_positions_gets_them() {
    let model = load("gpt2", &device());
    let mean = |activation: Activation, _: &EditContext| {
        let x = activation.wide(Hook::MlpOut.at(0))?;
        let dims = x.dims();
        Ok(x.mean_dim(1).expand(dims).into()) // depends on all positions
    };
    let edited = Intervention::none(3).edit(Edit::custom(Hook::MlpOut.at(0), "mean", mean));
    let mut run = IncrementalRun::new(&model, &edited, 1, 8).unwrap();
    assert_eq!(
        run.recomputes_because().unwrap(),
        "the edit `blocks.0.hook_mlp_out custom(mean)` may need all positions at once"
    );
    let mut by_hand = IncrementalRun::new(&model, &edited, 1, 8).unwrap().recomputing();
    for tokens in [vec![5, 9, 3], vec![2], vec![8]] {
        let [found, expected] =
            [&mut run, &mut by_hand].map(|run| host(run.extend(std::slice::from_ref(&tokens), &mut NoTap).unwrap()));
        assert_eq!(found, expected);
    }
    // A function that says it is position-wise is given new positions alone, and knows where they are.
    let double = EditFunction::new("from 3 on", |activation, context| {
        let x = activation.wide(Hook::MlpOut.at(0))?;
        Ok(if context.first >= 3 { (x * 2.0).into() } else { x.into() })
    });
    let from_3 = Intervention::none(3).edit(Edit::new(Hook::MlpOut.at(0), EditKind::Custom(double.position_wise())));
    let scaled = Intervention::none(3).edit(Edit::scale(Hook::MlpOut.at(0), 2.0).with_positions(3..));
    let both = [from_3, scaled];
    let mut runs = both.each_ref().map(|it| IncrementalRun::new(&model, it, 1, 8).unwrap());
    for tokens in [vec![5, 9, 3], vec![2], vec![8]] {
        let [found, expected] =
            runs.each_mut().map(|run| host(run.extend(std::slice::from_ref(&tokens), &mut NoTap).unwrap()));
        assert_eq!(found, expected);
    }
    // So is a tap; one that does not take parts sees whole windows, and what follows goes on from there.
    let none = Intervention::none(3);
    let (mut run, mut lengths) = (IncrementalRun::new(&model, &none, 1, 8).unwrap(), Lengths(Vec::new()));
    run.extend(&[vec![5, 9, 3]], &mut NoTap).unwrap();
    run.extend(&[vec![2]], &mut lengths).unwrap();
    assert_eq!(lengths.0, [4, 4, 4]);
    let last = host(run.extend(&[vec![8]], &mut NoTap).unwrap());
    let mut whole = IncrementalRun::new(&model, &none, 1, 8).unwrap();
    let all = host(whole.extend(&[vec![5, 9, 3, 2, 8]], &mut NoTap).unwrap());
    assert_close(&last, &all[all.len() - last.len()..], 1e-5, "the last position");
}

#[test]
fn what_cannot_run_in_growing_windows_is_refused() {
    let model = load("gpt2", &device());
    let at = Hook::MlpOut.at(0);
    let values = EditValues::new(Tensor::<3>::zeros([1, 5, 18], &device()));
    for edit in
        [Edit::mean(at), Edit::resample(at), Edit::freeze(at), Edit::add(at, values.clone()), Edit::patch(at, values)]
    {
        let intervention = Intervention::none(3).edit(edit.clone());
        let Err(SurgeryError::Core(CoreError::BadEdit { edit: named, .. })) =
            IncrementalRun::new(&model, &intervention, 1, 5).map(|_| ())
        else {
            panic!("{edit}")
        };
        assert_eq!(named, edit.to_string());
    }
    let none = Intervention::none(3);
    let Err(error) = IncrementalRun::new(&model, &none, 1, 25).map(|_| ()) else { panic!("a context of 24") };
    assert_eq!(error, CoreError::WindowTooLong { seq_len: 25, n_ctx: 24 }.into());
    let mut run = IncrementalRun::new(&model, &none, 1, 4).unwrap();
    assert!(run.extend(&[vec![96]], &mut NoTap).is_err(), "no such token");
    assert!(IncrementalRun::new(&model, &none, 1, 4).unwrap().extend(&[vec![1; 5]], &mut NoTap).is_err());
    let never: Intervention = "0-1 | blocks.1.hook_mlp_out pos=9.. zero".parse().unwrap();
    assert!(IncrementalRun::new(&model, &never, 1, 9).is_err(), "windows of 9 tokens have no position 9");
}

/// A chunked embedding, which devices with small buffers have, embeds new positions as whole windows.
#[test]
fn a_chunked_model_generates_as_a_whole_one() {
    let checkpoint = Checkpoint::open(fixture("gpt2")).unwrap();
    let chunked = LoadOptions::default().with_largest_tensor_bytes(18 * 4 * 7);
    let model = checkpoint.load_with(&chunked, &device()).unwrap();
    let prompts = prompts(2, 5, &model, &mut SplitMix64::new(9));
    assert_eq!(compare(&model, &Intervention::none(3), &prompts, 6, "gpt2 in chunks"), [12, 0]);
}
