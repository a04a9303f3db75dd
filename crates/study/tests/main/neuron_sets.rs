//! Classes of neurons ablated together: against runs edited by hand, random sets against what they should be, and what is
//! refused.

use stratigraph_core::{ActivationCache, Edit, EditKind, Hook, ResidualModel, RunModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::neurons::{NeuronClass, NeuronSet, neuron_classes};
use stratigraph_profile::Curve;
use stratigraph_study::measurements::NeuronSets;
use stratigraph_study::{Findings, Study, StudyError};
use stratigraph_surgery::{Intervention, Sweep};
use stratigraph_testing::{Expected, FAMILIES, assert_close, device, fixture, host};

use crate::by_hand::{Silenced, assert_near, kl_by_window};
use crate::small::Small;

const N_RANDOM: usize = 3;

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

/// Neurons of two layers.
fn of_two_layers() -> NeuronSet {
    NeuronSet::default().with_layer(0, [1, 4, 5]).with_layer(1, [0, 7])
}

fn labels(curve: &Curve) -> Vec<String> {
    (0..curve.len()).map(|index| curve.axis.tick(index)).collect()
}

/// The sets of a model that were run, by label.
fn sets(model: &Decoder, windows: &TokenWindows, findings: &Findings, name: &str) -> Vec<(String, NeuronSet)> {
    let classes = neuron_classes(model, windows.ids()).unwrap().into_iter();
    let classes = classes.map(|(class, set)| (class.to_string(), set));
    let all: Vec<_> = classes.chain([("own".to_owned(), of_two_layers())]).collect();
    let sizes = findings.curve(&format!("{name}_size")).unwrap();
    assert_eq!(labels(sizes), all.iter().map(|(label, _)| label.clone()).collect::<Vec<_>>());
    assert_eq!(sizes.mean, all.iter().map(|(_, set)| set.len() as f64).collect::<Vec<_>>());
    let run = labels(findings.curve(&format!("{name}_kl")).unwrap());
    assert!(run.contains(&"entropy".to_owned()) && run.contains(&"token frequency".to_owned()));
    all.into_iter().filter(|(label, _)| run.contains(label)).collect()
}

/// The neurons that an intervention of the findings ablates.
fn ablated(findings: &Findings, name: &str) -> NeuronSet {
    let record = findings.interventions().iter().find(|record| record.name == name).unwrap();
    let intervention: Intervention = record.text.parse().unwrap();
    intervention.edits().iter().fold(NeuronSet::default(), |set, edit| {
        let stratigraph_core::Units::Units(units) = edit.units() else { panic!("{edit}") };
        set.with_layer(edit.point().slot, units.iter().copied())
    })
}

#[test]
fn a_set_is_its_neurons_silenced_by_hand_in_every_family() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows());
        if model.shape().d_mlp.is_none() {
            continue; // dense layers among mixtures: layers differ in their neurons
        }
        let study = Study::new(&model)
            .add(NeuronSets::zero().with_random_sets(N_RANDOM).with_set("own", of_two_layers()))
            .add(NeuronSets::mean().with_random_sets(N_RANDOM).with_set("own", of_two_layers()));
        let findings = study.run(&windows).unwrap();
        let means = mean_activations(&model, &windows);
        let mean = |layer: usize, neuron: usize| means[layer][neuron];
        for kind in ["neuron_sets", "mean_neuron_sets"] {
            let value: &dyn Fn(usize, usize) -> f32 = if kind == "neuron_sets" { &|_, _| 0.0 } else { &mean };
            let curve = findings.curve(&format!("{kind}_kl")).unwrap();
            for (nth, (label, set)) in sets(&model, &windows, &findings, kind).iter().enumerate() {
                let by_hand = kl_by_window(&model, &windows, &mut Silenced { set, value });
                assert_near(&curve.replicates[nth], &by_hand, &format!("{kind} {label} of {name}"));
            }
        }
    }
}

/// The mean of each neuron over positions and windows, `[layer][neuron]`.
fn mean_activations(model: &Decoder, windows: &TokenWindows) -> Vec<Vec<f32>> {
    let cache = model.run_with_cache(windows, ActivationCache::at([Hook::MlpPost])).unwrap();
    let of_layer = |layer: usize| {
        let activation = cache.activation(Hook::MlpPost.at(layer)).unwrap();
        let (width, values) = (activation.dims()[2], activation.to_vec());
        let mean = |neuron: usize| {
            let of_neuron = values.iter().skip(neuron).step_by(width).map(|x| f64::from(*x));
            (of_neuron.sum::<f64>() / (values.len() / width) as f64) as f32
        };
        (0..width).map(mean).collect()
    };
    (0..model.n_layers()).map(of_layer).collect()
}

#[test]
fn random_sets_are_like_the_class_and_outside_it() {
    let (model, windows) = (load("gpt2"), Expected::of_family("gpt2").windows());
    let run = |seed| {
        let sets = NeuronSets::zero().with_random_sets(N_RANDOM).with_set("own", of_two_layers());
        Study::new(&model).add(sets).with_seed(seed).run(&windows).unwrap()
    };
    let (findings, again, other) = (run(1), run(1), run(2));
    let sizes = |set: &NeuronSet| set.layers().map(|it| (it.layer, it.neurons.len())).collect::<Vec<_>>();
    let mut differs = false;
    for (label, set) in sets(&model, &windows, &findings, "neuron_sets") {
        assert_eq!(ablated(&findings, &format!("neuron_sets {label}")), set);
        for nth in 0..N_RANDOM {
            let of = |findings| ablated(findings, &format!("neuron_sets {label} random {nth}"));
            let random = of(&findings);
            assert_eq!(sizes(&random), sizes(&set));
            assert!(random.layers().all(|it| it.neurons.iter().all(|neuron| !set.contains(it.layer, *neuron))));
            assert_eq!(random, of(&again), "a seed decides");
            differs |= random != of(&other);
        }
    }
    assert!(differs, "another seed draws other sets");
}

#[test]
fn differences_are_paired_by_window() {
    let (model, windows) = (load("llama-gqa"), Expected::of_family("llama-gqa").windows());
    let sets = NeuronSets::zero().with_random_sets(N_RANDOM).with_set("own", of_two_layers());
    let findings = Study::new(&model).add(sets).run(&windows).unwrap();
    let measured = |name: &str, metric: &str| {
        findings.interventions().iter().find(|record| record.name == name).unwrap().metrics[metric].mean
    };
    for metric in ["kl", "nll", "top1_agreement"] {
        let curve = |part: &str| findings.curve(&format!("neuron_sets_{part}{metric}")).unwrap();
        let (class, random, sd, difference) = (curve(""), curve("random_"), curve("random_sd_"), curve("difference_"));
        for (nth, label) in labels(class).iter().enumerate() {
            let own = measured(&format!("neuron_sets {label}"), metric);
            let others: Vec<f64> =
                (0..N_RANDOM).map(|set| measured(&format!("neuron_sets {label} random {set}"), metric)).collect();
            let mean = others.iter().sum::<f64>() / N_RANDOM as f64;
            let variance = others.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (N_RANDOM as f64 - 1.0);
            let found = [class.mean[nth], random.mean[nth], sd.mean[nth], difference.mean[nth]];
            assert_near(&found, &[own, mean, variance.sqrt(), own - mean], &format!("{metric} of {label}"));
            let pairs = class.replicates[nth].iter().zip(&random.replicates[nth]);
            let paired: Vec<f64> = pairs.map(|(class, random)| class - random).collect();
            assert_near(&difference.replicates[nth], &paired, label);
            let n = paired.len() as f64;
            let centre = paired.iter().sum::<f64>() / n;
            let sem = (paired.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
            assert_near(&[difference.sem[nth].unwrap()], &[sem], label);
        }
        assert_eq!((difference.n_windows(), sd.sem[0]), (Some(windows.n_sequences()), None));
    }
}

#[test]
fn all_neurons_together_are_the_layer_s_activations_zeroed() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows());
        let Some(d_mlp) = model.shape().d_mlp else { continue };
        for layer in 0..model.n_layers() {
            let all = NeuronSet::default().with_layer(layer, 0..d_mlp);
            let edits: Vec<_> = all.edits(&EditKind::Zero).collect();
            let run = |edits: &[Edit]| host(model.run_with_edits(&windows, edits).unwrap());
            let whole = run(&[Edit::zero(Hook::MlpPost.at(layer))]);
            assert_close(&run(&edits), &whole, 1e-6, &format!("layer {layer} of {name}"));
        }
    }
}

/// The sets share layers with other sweeps: those before the first neuron of a set are the unchanged model's.
#[test]
fn sets_and_sweeps_share_one_tree() {
    let (model, windows) = (load("llama-gqa"), Expected::of_family("llama-gqa").windows());
    let sets = || NeuronSets::zero().with_random_sets(N_RANDOM);
    let alone = Study::new(&model).add(sets()).run(&windows).unwrap();
    let mut steps = 0;
    let together = Study::new(&model).add(Sweep::delete()).add(sets()).on_progress(|progress| steps = progress.total);
    let findings = together.run(&windows).unwrap();
    let (mut sets_alone, mut sweep_alone) = (0, 0);
    Study::new(&model).add(sets()).on_progress(|progress| sets_alone = progress.total).run(&windows).unwrap();
    Study::new(&model).add(Sweep::delete()).on_progress(|progress| sweep_alone = progress.total).run(&windows).unwrap();
    assert!(steps < sets_alone + sweep_alone, "{steps}, {sets_alone} and {sweep_alone}");
    let (found, expected) = (findings.curve("neuron_sets_kl").unwrap(), alone.curve("neuron_sets_kl").unwrap());
    assert_near(&found.mean, &expected.mean, "with a sweep and without");
}

#[test]
fn a_class_without_enough_others_is_left_out_and_named() {
    let (model, windows) = (load("llama-gqa"), Expected::of_family("llama-gqa").windows());
    let d_mlp = model.shape().d_mlp.unwrap();
    let most = NeuronSet::default().with_layer(1, 0..d_mlp / 2 + 1);
    let sets = NeuronSets::zero().with_set("most", most).with_set("none", NeuronSet::default());
    let findings = Study::new(&model).add(sets).run(&windows).unwrap();
    let sizes = findings.curve("neuron_sets_size").unwrap();
    assert_eq!(labels(sizes)[4..], ["most", "none"]);
    assert_eq!(sizes.mean[4..], [(d_mlp / 2 + 1) as f64, 0.0]);
    let run = labels(findings.curve("neuron_sets_kl").unwrap());
    assert!(!run.contains(&"most".to_owned()) && !run.contains(&"none".to_owned()), "{run:?}");
    let classes = neuron_classes(&model, windows.ids()).unwrap();
    let empty = classes.iter().filter(|(_, set)| set.is_empty()).map(|(class, _)| class.to_string());
    empty.for_each(|class| assert!(!run.contains(&class) && labels(sizes).contains(&class)));
    assert!(classes[&NeuronClass::Entropy].len() == 1 && run.contains(&"entropy".to_owned()));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (model, windows) = (load("llama-gqa"), Expected::of_family("llama-gqa").windows());
    let refused = |sets: NeuronSets| {
        let mut progressed = false;
        let message = Study::new(&model).add(sets).on_progress(|_| progressed = true).run(&windows).unwrap_err();
        assert!(!progressed);
        message.to_string()
    };
    let one = refused(NeuronSets::zero().with_random_sets(1));
    assert_eq!(one, "cannot measure neuron_sets: their spread takes at least 2 random sets, and 1 were asked for");
    let own = |set: NeuronSet| NeuronSets::mean().with_set("own", set);
    let neuron = refused(own(NeuronSet::default().with_layer(1, [99])));
    assert!(neuron.contains("blocks.1.mlp.hook_post") && neuron.contains("there are 32 units, 0 to 31"), "{neuron}");
    let layer = refused(own(NeuronSet::default().with_layer(9, [0])));
    assert!(layer.contains("blocks.9.mlp.hook_post"), "{layer}");
    let twice = refused(own(of_two_layers()).with_set("entropy", of_two_layers()));
    assert!(twice.contains("two sets are called `entropy`"), "{twice}");
    let small = Small::new(&device());
    let hook = Study::new(&small).add(NeuronSets::zero()).run(&crate::small::windows()).unwrap_err();
    assert!(matches!(&hook, StudyError::CannotMeasure { reason, .. } if reason.contains("mlp.hook_post")), "{hook}");
}
