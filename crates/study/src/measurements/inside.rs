//! What is measured inside the unchanged model: one pass over the corpus, and its weights.

use std::collections::BTreeMap;

use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::{
    AttentionHeads, AttentionMeasure, Geometry, NeuronProfile, Observer, StreamSample, cka, cka_unbiased, observe,
    statistics::PerSequence, vocabulary_profiles,
};
use stratigraph_stages::{Axis, Curve, Estimate, Matrix};

use crate::runs::estimate;
use crate::study::increments;
use crate::{Experiment, Findings, Result};

/// Bytes of residual streams that one batch of the pass may keep.
const STREAM_BYTES: usize = 256 << 20;
/// Tokens beyond which a batch runs no faster.
const BATCH_TOKENS: usize = 2048;
/// Positions between which similarity is measured: their inner products are held for every place.
const SIMILAR_POSITIONS: usize = 1024;
/// Windows that the unbiased estimator of similarity needs.
const UNBIASED_WINDOWS: usize = 4;

type Curves = BTreeMap<String, Curve>;

/// How much work the experiments are, in multiplications.
pub(crate) fn work(model: &dyn ResidualModel, experiments: &[Experiment], windows: &TokenWindows) -> u64 {
    let (layers, width) = (model.n_layers() as u64, model.d_model() as u64);
    let pass = layers * 12 * width * width * windows.ids().len() as u64;
    let observed = experiments.iter().any(|experiment| experiment.is_observed());
    let neurons = experiments.contains(&Experiment::Neurons).then(|| {
        let d_mlp = model.neuron_outputs(0).map_or(0, |w_out| w_out.dims()[0]) as u64;
        layers * d_mlp * width * model.d_vocab() as u64
    });
    u64::from(observed) * pass + neurons.unwrap_or(0)
}

/// Adds the curves and matrices of those experiments that look inside; `done` hears of work.
pub(crate) fn look(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    (experiments, skip_first): (&[Experiment], usize),
    findings: &mut Findings,
    mut done: impl FnMut(u64),
) -> Result<()> {
    if experiments.iter().any(|experiment| experiment.is_observed()) {
        observed(model, windows, (experiments, skip_first), findings, &mut done)?;
    }
    if experiments.contains(&Experiment::Neurons) {
        let each = work(model, &[Experiment::Neurons], windows) / model.n_layers().max(1) as u64;
        neurons(&vocabulary_profiles(model, |_| done(each))?, &mut findings.curves);
    }
    Ok(())
}

fn observed(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    (experiments, skip_first): (&[Experiment], usize),
    findings: &mut Findings,
    done: &mut impl FnMut(u64),
) -> Result<()> {
    let device = model.device();
    let wants = |experiment: Experiment| experiments.contains(&experiment);
    let mut heads =
        wants(Experiment::Attention).then(|| AttentionHeads::new(&AttentionMeasure::USUAL, windows.seq_len(), &device));
    let mut geometry = wants(Experiment::Geometry)
        .then(|| (Geometry::new(skip_first), StreamSample::new(windows, skip_first, SIMILAR_POSITIONS)));
    let mut observers: Vec<&mut dyn Observer> = Vec::new();
    if let Some(heads) = &mut heads {
        observers.push(heads);
    }
    if let Some((geometry, sample)) = &mut geometry {
        observers.push(geometry);
        observers.push(sample);
    }
    let streams = 2 * (model.n_layers() + 1) * model.d_model() * size_of::<f32>(); // of a token, and their directions
    let tokens = (STREAM_BYTES / streams.max(1)).min(BATCH_TOKENS);
    let batch = (tokens / windows.seq_len()).max(1);
    let each = work(model, &[Experiment::Geometry], windows) / windows.n_sequences().max(1) as u64;
    observe(model, windows, batch, &mut observers, increments(each, done))?;
    if let Some(heads) = heads {
        for &measure in heads.measures() {
            findings.curves.insert(measure.to_string(), curve(&heads.layers(measure)));
        }
    }
    if let Some((geometry, sample)) = geometry {
        geometric(&geometry, findings);
        let similar = cka(&sample.spaced(&device));
        let adjacent = (0..model.n_layers()).map(|layer| similar[layer][layer + 1]);
        findings.curves.insert("cka_adjacent".into(), exact(adjacent));
        findings.matrices.insert("cka".into(), of_places("linear CKA", similar));
        if windows.n_sequences() >= UNBIASED_WINDOWS {
            let last = cka_unbiased(&sample.last(&device));
            findings.matrices.insert("cka_last_unbiased".into(), of_places("unbiased linear CKA", last));
        }
    }
    Ok(())
}

/// A matrix over every pair of places in the residual stream.
fn of_places(unit: &str, values: Vec<Vec<f64>>) -> Matrix {
    let places = Axis::counting("place", values.len());
    Matrix { rows: places.clone(), columns: places, unit: unit.to_owned(), values }
}

fn geometric(geometry: &Geometry, findings: &mut Findings) {
    let cosines: Vec<Vec<f64>> =
        geometry.cosine().iter().map(|row| row.iter().map(|cosine| cosine.summary().mean).collect()).collect();
    findings.matrices.insert("cosine".into(), of_places("cosine", cosines));
    let curves = &mut findings.curves;
    let to_final: Vec<_> = geometry.cosine().iter().filter_map(|row| row.last().cloned()).collect();
    curves.insert("cosine_to_final".into(), curve(&to_final));
    let adjacent: Vec<_> =
        (1..geometry.cosine().len()).map(|place| geometry.cosine()[place - 1][place].clone()).collect();
    let cosine = curve(&adjacent);
    let influence = Curve {
        units: cosine.units,
        mean: cosine.mean.iter().map(|cosine| 1.0 - cosine).collect(),
        sem: cosine.sem.clone(),
        replicates: cosine.replicates.iter().map(|means| means.iter().map(|mean| 1.0 - mean).collect()).collect(),
    };
    curves.insert("resid_norm".into(), curve(geometry.resid_norm()));
    curves.insert("attn_out_norm".into(), curve(geometry.attn_out_norm()));
    curves.insert("mlp_out_norm".into(), curve(geometry.mlp_out_norm()));
    curves.insert("cosine_in_out".into(), cosine);
    curves.insert("block_influence".into(), influence);
    curves.insert("angular_distance_1".into(), exact(geometry.angular_distance(1).into_iter()));
}

fn neurons(profiles: &[Vec<NeuronProfile>], curves: &mut Curves) {
    let count = |is: fn(&NeuronProfile) -> bool| {
        exact(profiles.iter().map(move |layer| layer.iter().filter(|profile| is(profile)).count() as f64))
    };
    let mean = |of: fn(&NeuronProfile) -> f64| {
        // A neuron without weights has no profile.
        let finite =
            move |layer: &Vec<NeuronProfile>| layer.iter().map(of).filter(|x| x.is_finite()).collect::<Vec<_>>();
        exact(profiles.iter().map(finite).map(|found| found.iter().sum::<f64>() / found.len() as f64))
    };
    curves.insert("prediction_neurons".into(), count(NeuronProfile::is_prediction));
    curves.insert("suppression_neurons".into(), count(NeuronProfile::is_suppression));
    curves.insert("mean_kurtosis".into(), mean(|profile| profile.kurtosis));
    curves.insert("mean_skew".into(), mean(|profile| profile.skew));
}

fn curve(layers: &[PerSequence]) -> Curve {
    let mut curve = Curve::default();
    layers.iter().for_each(|layer| curve.push(estimate(layer), layer.means()));
    curve
}

/// A curve of numbers without an error: of weights, or of the corpus as a whole.
fn exact(values: impl Iterator<Item = f64>) -> Curve {
    let mut curve = Curve::default();
    values.for_each(|mean| curve.push(Estimate { mean, sem: None }, Vec::new()));
    curve
}
