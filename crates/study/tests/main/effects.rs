//! Effects of sublayers: total and direct ones against runs edited by hand, their differences, and what a study makes of them.

use burn::tensor::Tensor;
use stratigraph_core::{
    Activation, ActivationCache, Edit, Hook, HookPoint, HookSet, NoTap, ResidualModel, Result as CoreResult, RunModel,
    Site, Sublayer, Tap, TokenWindows,
};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::metrics::Metrics;
use stratigraph_study::measurements::{Ablation, SublayerEffects};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::{Budget, Sweep};
use stratigraph_testing::{FAMILIES, device, fixture, losses};

const SUBLAYERS: [(Sublayer, Hook); 2] = [(Sublayer::Attention, Hook::AttnOut), (Sublayer::Mlp, Hook::MlpOut)];

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

fn windows(n_sequences: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * 12).map(|i| (i * i * 7 % 48) as u32).collect();
    TokenWindows::new(&ids, 12).unwrap()
}

fn effects(model: &dyn ResidualModel, windows: &TokenWindows) -> Findings {
    Study::new(model).add(SublayerEffects::default()).run(windows).unwrap()
}

/// Puts values in the place of what a sublayer writes.
struct Put {
    point: HookPoint,
    values: Tensor<3>,
}

impl Tap for Put {
    fn hooks(&self) -> HookSet {
        [self.point.hook].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        hook.at(site.slot) == self.point
    }

    fn visit(&mut self, _: Site, _: Hook, _: Activation) -> CoreResult<Activation> {
        Ok(self.values.clone().into())
    }
}

/// Losses of windows, and runs with one sublayer's output replaced.
struct ByHand<'a> {
    model: &'a Decoder,
    windows: &'a TokenWindows,
    cache: ActivationCache,
    clean: Vec<f64>,
}

impl<'a> ByHand<'a> {
    fn new(model: &'a Decoder, windows: &'a TokenWindows) -> Self {
        let cache = ActivationCache::at([Hook::AttnOut, Hook::MlpOut, Hook::ResidPost]);
        let cache = model.run_with_cache(windows, cache).unwrap();
        let last = cache.tensor(Hook::ResidPost.at(model.n_layers() - 1)).unwrap();
        Self { model, windows, clean: losses(model, windows, last), cache }
    }

    /// The rise of the loss with these values in the place of what a sublayer writes.
    fn total(&self, point: HookPoint, values: Tensor<3>) -> Vec<f64> {
        let tokens = self.windows.batch(0..self.windows.n_sequences(), &device());
        let mut resid = self.model.embed(tokens).unwrap();
        for layer in 0..self.model.n_layers() {
            let site = Site { slot: layer, layer };
            let mut put = Put { point, values: values.clone() };
            let tap: &mut dyn Tap = if layer == point.slot { &mut put } else { &mut NoTap };
            resid = self.model.block(site, resid, tap).unwrap();
        }
        self.rise(resid)
    }

    fn rise(&self, resid: Tensor<3>) -> Vec<f64> {
        let losses = losses(self.model, self.windows, resid);
        losses.iter().zip(&self.clean).map(|(loss, clean)| loss - clean).collect()
    }

    fn out(&self, point: HookPoint) -> Tensor<3> {
        self.cache.tensor(point).unwrap()
    }

    fn replaced(&self, ablation: Ablation, point: HookPoint) -> Vec<f64> {
        let out = self.out(point);
        let [batch, ..] = out.dims();
        self.total(
            point,
            match ablation {
                Ablation::Zero => out.zeros_like(),
                Ablation::Mean => out.clone().mean_dim(0).mean_dim(1).expand(out.dims()),
                _ => Tensor::cat(vec![out.clone().narrow(0, 1, batch - 1), out.narrow(0, 0, 1)], 0),
            },
        )
    }

    fn direct(&self, point: HookPoint) -> Vec<f64> {
        self.rise(self.out(Hook::ResidPost.at(self.model.n_layers() - 1)) - self.out(point))
    }
}

/// Checks a point of a curve against the numbers of its windows.
#[track_caller]
fn assert_point(findings: &Findings, name: &str, layer: usize, expected: &[f64]) {
    let curve = findings.curve(name).unwrap();
    let (n, found) = (expected.len() as f64, &curve.replicates[layer]);
    assert_eq!(found.len(), expected.len());
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b.abs().max(0.02);
    assert!(found.iter().zip(expected).all(|(a, b)| close(*a, *b)), "{name} {layer}: {found:?}, not {expected:?}");
    let mean = expected.iter().sum::<f64>() / n;
    let sem = (expected.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    let estimate = curve.estimates().nth(layer).unwrap();
    assert!(close(estimate.mean, mean) && close(estimate.sem.unwrap(), sem), "{name} {layer}: {estimate:?}, {sem}");
}

#[test]
fn effects_are_those_of_runs_edited_by_hand() {
    for name in FAMILIES {
        let (model, windows) = (load(name), windows(3));
        let (findings, by_hand) = (effects(&model, &windows), ByHand::new(&model, &windows));
        for (sublayer, hook) in SUBLAYERS {
            for layer in 0..model.n_layers() {
                let direct = by_hand.direct(hook.at(layer));
                assert_point(&findings, &format!("direct_{sublayer}"), layer, &direct);
                for ablation in Ablation::ALL {
                    let total = by_hand.replaced(ablation, hook.at(layer));
                    let kind = match ablation {
                        Ablation::Zero => "",
                        Ablation::Mean => "mean_",
                        _ => "resample_",
                    };
                    assert_point(&findings, &format!("total_{kind}{sublayer}"), layer, &total);
                    if ablation == Ablation::Zero {
                        let repair: Vec<f64> = direct.iter().zip(&total).map(|(a, b)| a - b).collect();
                        assert_point(&findings, &format!("self_repair_{sublayer}"), layer, &repair);
                    }
                }
            }
        }
    }
}

#[test]
fn the_last_mlp_has_no_effect_but_the_direct_one() {
    for name in ["llama-gqa", "gemma3", "neox-parallel"] {
        let model = load(name);
        let findings = effects(&model, &windows(3));
        let last = model.n_layers() - 1;
        let repair = findings.curve("self_repair_mlp").unwrap().mean[last];
        assert!(repair.abs() < 1e-5, "{name}: {repair}");
        assert!(findings.curve("direct_mlp").unwrap().mean[last].abs() > 1e-4, "{name}");
    }
}

#[test]
fn attributions_in_the_findings_add_up() {
    for name in ["gpt2", "gemma3", "phi", "qwen3"] {
        let model = load(name);
        let findings = Study::new(&model).add(SublayerEffects::new([])).run(&windows(3)).unwrap();
        let (value, curve) = (|name| findings.value(name).unwrap().mean, |name| &findings.curve(name).unwrap().mean);
        let layers: f64 = curve("dla_attention").iter().chain(curve("dla_mlp")).sum();
        let all = value("dla_embed") + layers + value("dla_final_bias");
        assert!((all - value("centred_logit")).abs() < 1e-5, "{name}: {all}");
        let heads = findings.matrix("dla_heads").unwrap();
        assert_eq!((heads.values.len(), heads.values[0].len()), (model.n_layers(), model.config().n_heads));
        for (layer, attention) in curve("dla_attention").iter().enumerate() {
            let bias = findings.curve("dla_attention_bias").map_or(0.0, |curve| curve.mean[layer]);
            let sum = heads.values[layer].iter().sum::<f64>() + bias;
            assert!((sum - attention).abs() < 1e-5, "{name} {layer}: {sum}, not {attention}");
        }
        assert_eq!(findings.curve("dla_attention_bias").is_ok(), ["gpt2", "phi"].contains(&name));
        assert!(findings.curve("total_mlp").is_err() && findings.curve("direct_mlp").is_ok());
        assert_eq!(findings.interventions().len(), 1, "no sweep was run");
    }
}

#[test]
fn a_sweep_that_is_asked_for_twice_runs_once() {
    let (model, windows) = (load("llama-gqa"), windows(3));
    let alone = effects(&model, &windows);
    let n_points = alone.interventions().len();
    assert_eq!(n_points, 1 + 6 * model.n_layers());
    for is_first in [true, false] {
        let study = Study::new(&model);
        let study = if is_first { study.add(Sweep::by_name("delete_mlp").unwrap()) } else { study };
        let study = study.add(SublayerEffects::default());
        let study = if is_first { study } else { study.add(Sweep::by_name("delete_mlp").unwrap()) };
        let findings = study.run(&windows).unwrap();
        assert_eq!(findings.interventions().len(), n_points);
        assert_eq!(findings.curve("total_mlp").unwrap(), alone.curve("total_mlp").unwrap());
        assert!(findings.curve("delete_mlp_kl").is_ok());
    }
    let other = Sweep::each_layer("delete_mlp", |_, layer| Ok(Edit::scale(Hook::MlpOut.at(layer), 0.5)));
    let error = Study::new(&model).add(SublayerEffects::default()).add(other).run(&windows).unwrap_err();
    assert!(error.to_string().contains("already a sweep named `delete_mlp`"), "{error}");
}

#[test]
fn the_loss_has_to_be_measured_and_one_window_has_no_other_to_resample() {
    let model = load("llama-gqa");
    let kl = Metrics::from_names(["kl", "js"]).unwrap();
    let study = |metrics: &Metrics| Study::new(&model).with_metrics(metrics.clone());
    let error = study(&kl).add(SublayerEffects::default()).run(&windows(2)).unwrap_err().to_string();
    assert_eq!(error, "cannot measure effects: it takes the metric nll, and the study has kl, js; add nll to them");
    assert!(study(&kl).add(SublayerEffects::new([])).run(&windows(2)).is_ok());
    let one = effects(&model, &windows(1));
    assert!(one.curve("total_mean_mlp").is_ok() && one.curve("total_resample_mlp").is_err());
    assert_eq!(one.curve("self_repair_mlp").unwrap().sem[0], None);
}

#[test]
fn effects_do_not_depend_on_the_budget_and_report_all_of_their_work() {
    let (model, windows) = (load("gpt2"), windows(5));
    let run = |bytes| {
        let mut heard = Vec::new();
        let study = Study::new(&model).add(SublayerEffects::default()).on_progress(|progress| heard.push(progress));
        let findings = study.with_budget(Budget { bytes, ..Budget::default() }).run(&windows)?;
        let last = *heard.last().unwrap();
        assert!(heard.windows(2).all(|two| two[0].done <= two[1].done) && last.done == last.total, "{last:?}");
        Ok::<_, stratigraph_study::StudyError>(findings)
    };
    let (small, large) = (run(150_000).unwrap(), run(1 << 30).unwrap());
    for (name, curve) in small.curves() {
        for (a, b) in curve.mean.iter().zip(&large.curve(name).unwrap().mean) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
    assert!(run(20_000).unwrap_err().to_string().contains("20000"), "too little for one window");
}
