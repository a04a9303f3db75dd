//! Profiles of the first version, which had no axes, units or interventions: [`from_version_1`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Axis, CorpusRecord, Curve, Estimate, Matrix, ModelRecord, Profile, Result, Segmentation, Unit, catalogue, nullable,
};

#[derive(Deserialize)]
struct Version1 {
    model: ModelRecord,
    corpus: CorpusRecord,
    device: String,
    versions: BTreeMap<String, String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    values: BTreeMap<String, Estimate>,
    #[serde(default)]
    matrices: BTreeMap<String, MatrixOfVersion1>,
    curves: BTreeMap<String, CurveOfVersion1>,
    #[serde(default)]
    stages: Option<Segmentation>,
}

#[derive(Deserialize)]
struct CurveOfVersion1 {
    #[serde(deserialize_with = "nullable::numbers")]
    mean: Vec<f64>,
    sem: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct MatrixOfVersion1 {
    rows: AxisOfVersion1,
    columns: AxisOfVersion1,
    unit: String,
    #[serde(deserialize_with = "nullable::rows")]
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct AxisOfVersion1 {
    name: String,
    labels: Vec<String>,
}

/// A profile from the JSON of version 1. Curves take axis and unit from the catalogue; those without values are left out.
pub(crate) fn from_version_1(json: Value) -> Result<Profile> {
    let old: Version1 = serde_json::from_value(json)?;
    let n_layers = old.model.n_layers;
    let curves = old.curves.into_iter().filter(|(_, curve)| !curve.mean.is_empty());
    let curves = curves.map(|(name, it)| (name.clone(), curve(&name, it, n_layers))).collect();
    let matrices = old.matrices.into_iter().map(|(name, it)| (name.clone(), matrix(&name, it, n_layers))).collect();
    let mut profile = Profile::new(old.model, old.corpus)
        .with_device(old.device)
        .with_versions(old.versions)
        .with_command(old.command)
        .with_seed(old.seed);
    (profile.values, profile.curves, profile.matrices, profile.stages) = (old.values, curves, matrices, old.stages);
    Ok(profile)
}

/// A profile in which names of older versions are replaced by the current ones.
pub(crate) fn with_current_names(mut profile: Profile) -> Profile {
    let current = catalogue::current_name;
    profile.curves = profile.curves.into_iter().map(|(name, curve)| (current(&name), curve)).collect();
    profile.matrices = profile.matrices.into_iter().map(|(name, matrix)| (current(&name), matrix)).collect();
    for record in profile.interventions.iter_mut().filter(|record| record.sweep.is_some()) {
        record.name = current(&record.name);
        record.sweep = record.sweep.as_deref().map(current);
    }
    profile
}

fn curve(name: &str, old: CurveOfVersion1, n_layers: usize) -> Curve {
    let (axis, unit) = match catalogue::find(name) {
        Some(entry) => (entry.axis.of(n_layers), entry.unit),
        None => (unknown_axis(old.mean.len(), n_layers), Unit::Dimensionless),
    };
    Curve::new(axis, unit, old.mean).with_sem(old.sem)
}

/// The axis of a curve that is not in the catalogue, from the number of its values: version 1 recorded nothing else.
fn unknown_axis(len: usize, n_layers: usize) -> Axis {
    let axes = [Axis::layers(n_layers), Axis::residual_positions(n_layers), Axis::adjacent_pairs(n_layers)];
    axes.into_iter().find(|axis| axis.len() == len).unwrap_or_else(|| Axis::counting("point", len))
}

fn matrix(name: &str, old: MatrixOfVersion1, n_layers: usize) -> Matrix {
    let unit = catalogue::find_matrix(name).map_or_else(|| Unit::from(old.unit), |entry| entry.unit);
    Matrix::new(axis(old.rows, n_layers), axis(old.columns, n_layers), unit, old.values)
}

fn axis(old: AxisOfVersion1, n_layers: usize) -> Axis {
    let AxisOfVersion1 { name, labels } = old;
    let counts = labels.iter().enumerate().all(|(index, label)| *label == index.to_string());
    match name.as_str() {
        "layer" if counts && labels.len() == n_layers => Axis::layers(n_layers),
        "place" if counts && labels.len() == n_layers + 1 => Axis::residual_positions(n_layers),
        "head" if counts => Axis::heads(labels.len()),
        _ if counts => Axis::counting(name, labels.len()),
        _ => Axis::labelled(name, labels),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Axis, Profile, ProfileError, Stage, Support, Unit};

    const OLD: &str = r#"{
        "model": {"name": "m", "n_layers": 2, "d_model": 4, "d_vocab": 8},
        "corpus": {"name": "c", "n_sequences": 3, "seq_len": 5, "special_tokens": false},
        "device": "flex", "versions": {"burn": "0.22.1"}, "seed": 7,
        "values": {"clean_nll": {"mean": null, "sem": null}},
        "matrices": {
            "cka": {"rows": {"name": "place", "labels": ["0", "1", "2"]}, "columns": {"name": "place",
                "labels": ["0", "1", "2"]}, "unit": "linear CKA", "values": [[1, 0.5, null], [0.5, 1, 0.1], [0, 0.1, 1]]},
            "mine": {"rows": {"name": "layer", "labels": ["0", "1"]}, "columns": {"name": "who", "labels": ["a"]},
                "unit": "volts", "values": [[1], [2]]}},
        "curves": {
            "delete_kl": {"mean": [3, 0.30000000000000004], "sem": [0.1, null]},
            "swap_kl": {"mean": [1], "sem": [null]},
            "lens_kl": {"mean": [3, null, 0], "sem": [null, null, null]},
            "repeat_2_nll": {"mean": [4], "sem": [null]},
            "my_own": {"mean": [1, 2], "sem": [null, null]},
            "repeat_5_nll": {"mean": [], "sem": []}},
        "stages": {"n_layers": 2, "verdict": "stages", "reason": "r", "p_value": 0.01, "gain": 1,
            "stages": [{"stage": "detokenization", "first": 0, "end": 1, "evidence": [{"signal": "delete_kl",
                "measurement": "deletion", "stand": "for", "strength": 1, "text": "t"}]},
                {"stage": "residual_sharpening", "first": 1, "end": 2, "evidence": []}],
            "boundaries": [{"before": "detokenization", "after": "residual_sharpening", "at": 1,
                "doubt": {"low": 1, "high": 1, "support": 0.9, "within_one": 0.8}}],
            "rejected": [], "outliers": [], "change_points": [], "missing": [], "rule": {"seed": 3}}
    }"#;

    #[test]
    fn the_first_version_is_read() {
        let profile = Profile::from_json(OLD).unwrap();
        let curve = |name| profile.curve(name).unwrap();
        assert_eq!((curve("delete_kl").axis.clone(), curve("delete_kl").mean[1]), (Axis::layers(2), 0.1 + 0.2));
        assert_eq!(
            (curve("swap_kl").axis.clone(), curve("swap_kl").unit.clone()),
            (Axis::adjacent_pairs(2), Unit::Nats)
        );
        assert!(curve("lens_kl").mean[1].is_nan() && curve("lens_kl").axis == Axis::residual_positions(2));
        // The number of values that swaps have, on another axis.
        assert_eq!(curve("repeat_2_nll").axis, Axis::block_starts(2, 2));
        assert_eq!(curve("my_own").axis, Axis::layers(2));
        assert!(profile.curve("repeat_5_nll").is_err());
        assert_eq!(profile.matrix("cka").unwrap().rows, Axis::residual_positions(2));
        assert_eq!(profile.matrix("mine").unwrap().columns, Axis::labelled("who", ["a"]));
        let stages = profile.stages.as_ref().unwrap();
        assert_eq!((stages.stage_of(1), stages.p_value_alone), (Some(Stage::ResidualSharpening), 1.0));
        let evidence = &stages.stages[0].evidence[0];
        assert_eq!((&evidence.kind[..], evidence.support), ("deletion", Support::For));
        assert_eq!(stages.boundaries[0].interval.unwrap().frequency, 0.9);
        let again = Profile::from_json(&profile.to_json()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{profile:?}"));
    }

    #[test]
    fn a_curve_of_another_length_than_its_axis_is_named() {
        for (from, to, name) in
            [("[1], \"sem\": [null]", "[1, 2], \"sem\": [null, null]", "swap_kl"), ("[3, null, 0]", "[3]", "lens_kl")]
        {
            let error = Profile::from_json(&OLD.replacen(from, to, 1)).unwrap_err();
            assert!(matches!(&error, ProfileError::CurveLength { name: found, .. } if found == name), "{error}");
        }
    }
}
