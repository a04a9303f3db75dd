//! Lengths and directions of the residual stream: [`ResidualGeometry`].

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{
    Activation, ActivationSampler, Hook, HookPoint, HookSet, Observer, PerSequence, SamplePositions, Site, Tap, Taps,
    TokenWindows,
};
use stratigraph_probes::geometry::{CentredNorms, Geometry};
use stratigraph_probes::similarity::{WindowSimilarity, cka, cka_adjacent, cka_unbiased};
use stratigraph_profile::{Axis, Curve, Estimate, Matrix, catalogue};

use super::empty_curve;
use crate::{Findings, Measurement, Needs, Observation, Result, StudyContext, Work};

/// Positions between which similarity is measured: their inner products are held for every residual position.
const SIMILAR_POSITIONS: usize = 1024;
/// Windows that the unbiased estimator of similarity needs.
const UNBIASED_WINDOWS: usize = 4;

/// Lengths and directions of the residual stream, in the unchanged model: curves `resid_norm`, `cosine_to_final`,
/// `attn_out_norm`, `mlp_out_norm`, `attn_write_cosine`, `mlp_write_cosine`, `first_position_norm`, `matrix_entropy`,
/// `cosine_in_out`, `block_influence`, `angular_distance_1`, `cka_adjacent`, `cka_adjacent_after_first`,
/// `cka_adjacent_by_window`; matrices `cosine`, `angular_distance`, `cka`, `cka_last_unbiased`. Models whose final norm subtracts the
/// mean over `d_model` also have `centred_resid_norm`, `centred_attn_out_norm` and `centred_mlp_out_norm`. Positions that do not [count](stratigraph_core::TokenWindows::measured_from)
/// are left out, except from `first_position_norm`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResidualGeometry {
    skip_first: usize,
}

impl ResidualGeometry {
    pub(super) const NAME: &str = "geometry";

    pub(super) fn requirements() -> Needs {
        Needs::hooks([Hook::ResidPre, Hook::AttnOut, Hook::MlpOut, Hook::ResidPost]).with_n_layers(1)
    }

    /// Without the first `n` positions of each window, whose massive activations can dominate every number, even where other
    /// measures count them.
    pub fn skipping_first(n: usize) -> Self {
        Self { skip_first: n }
    }
}

impl Measurement for ResidualGeometry {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Self::requirements().with_seq_len(self.skip_first + 1)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (windows, n_layers) = (context.windows, context.model.n_layers());
        let skip_first = self.skip_first.max(windows.measured_from());
        let sampler = |positions| ActivationSampler::of_residual(positions, n_layers, 0..n_layers + 1);
        let drawn = SamplePositions::random(windows, skip_first, SIMILAR_POSITIONS, context.seed)?;
        let is_centred = context.model.weights().is_some_and(|weights| weights.final_norm_is_centered());
        Ok(vec![Work::Observe(Box::new(Streams {
            geometry: Geometry::new(skip_first),
            centred: is_centred.then(|| CentredNorms::new(skip_first)),
            by_window: WindowSimilarity::new(skip_first).with_mean_subtracted(is_centred),
            after_first: after_first(&drawn, windows),
            drawn: sampler(drawn),
            last: sampler(SamplePositions::last(windows, SIMILAR_POSITIONS)?),
            n_layers,
            n_sequences: windows.n_sequences(),
            device: context.model.device(),
        }))])
    }
}

/// The rows of a sample that are not of the first position of a window.
fn after_first(sample: &SamplePositions, windows: &TokenWindows) -> Vec<i32> {
    let rows = sample.each(windows).enumerate().filter(|(_, it)| it.position > 0);
    rows.map(|(row, _)| row as i32).collect()
}

struct Streams {
    geometry: Geometry,
    /// Lengths without the mean over `d_model`, where the model's norms subtract it.
    centred: Option<CentredNorms>,
    /// Similarity within each window.
    by_window: WindowSimilarity,
    /// Positions drawn at random, the same at every residual position.
    drawn: ActivationSampler,
    /// The rows of these that are not of the first position of a window.
    after_first: Vec<i32>,
    /// The last position of each window.
    last: ActivationSampler,
    n_layers: usize,
    n_sequences: usize,
    device: Device,
}

impl Streams {
    fn observers(&mut self) -> Vec<&mut dyn Observer> {
        let centred = self.centred.iter_mut().map(|centred| centred as &mut dyn Observer);
        let all: [&mut dyn Observer; 4] = [&mut self.geometry, &mut self.by_window, &mut self.drawn, &mut self.last];
        all.into_iter().chain(centred).collect()
    }

    fn taps(&self) -> Vec<&dyn Tap> {
        let centred = self.centred.iter().map(|centred| centred as &dyn Tap);
        let all: [&dyn Tap; 4] = [&self.geometry, &self.by_window, &self.drawn, &self.last];
        all.into_iter().chain(centred).collect()
    }

    /// The rows of a sampler at each residual position.
    fn rows(&self, sampler: &ActivationSampler) -> Result<Vec<Tensor<2>>> {
        let points = (0..=self.n_layers).map(|position| HookPoint::of_residual(position, self.n_layers));
        Ok(points.map(|point| sampler.tensor(point, &self.device)).collect::<stratigraph_core::Result<_>>()?)
    }

    fn add_curve(&self, name: &str, points: &[PerSequence], findings: &mut Findings) -> Result<()> {
        findings.add_measured(name, empty_curve(name, self.n_layers), points)
    }

    fn add_exact(&self, name: &str, values: impl IntoIterator<Item = f64>, findings: &mut Findings) -> Result<()> {
        let mut curve = empty_curve(name, self.n_layers);
        values.into_iter().for_each(|value| curve.push(Estimate::exact(value), Vec::new()));
        findings.add_curve(name, curve)
    }

    fn add_matrix(&self, name: &str, values: Vec<Vec<f64>>, findings: &mut Findings) -> Result<()> {
        let unit = catalogue::find_matrix(name).map(|entry| entry.unit.clone()).unwrap_or_default();
        let positions = Axis::residual_positions(self.n_layers);
        findings.add_matrix(name, Matrix::new(positions.clone(), positions, unit, values))
    }

    fn add_geometry(&self, findings: &mut Findings) -> Result<()> {
        let Self { geometry, .. } = self;
        let cosine = geometry.cosine();
        let mean = |row: &Vec<PerSequence>| row.iter().map(|cosine| cosine.summary().mean).collect();
        self.add_matrix("cosine", cosine.iter().map(mean).collect(), findings)?;
        self.add_matrix("angular_distance", geometry.angular_distances(), findings)?;
        let to_final: Vec<_> = cosine.iter().filter_map(|row| row.last().cloned()).collect();
        self.add_curve("cosine_to_final", &to_final, findings)?;
        self.add_curve("resid_norm", geometry.resid_norm(), findings)?;
        self.add_curve("attn_out_norm", geometry.attn_out_norm(), findings)?;
        self.add_curve("mlp_out_norm", geometry.mlp_out_norm(), findings)?;
        self.add_curve("attn_write_cosine", geometry.attn_write_cosine(), findings)?;
        self.add_curve("mlp_write_cosine", geometry.mlp_write_cosine(), findings)?;
        self.add_curve("first_position_norm", geometry.first_position_norm(), findings)?;
        self.add_curve("matrix_entropy", geometry.matrix_entropy(), findings)?;
        let in_out: Vec<_> = (1..cosine.len()).map(|position| cosine[position - 1][position].clone()).collect();
        self.add_curve("cosine_in_out", &in_out, findings)?;
        let influence = one_minus(findings.curve("cosine_in_out")?);
        findings.add_curve("block_influence", influence)?;
        self.add_exact("angular_distance_1", geometry.angular_distance(1), findings)?;
        self.add_centred(findings)
    }

    fn add_centred(&self, findings: &mut Findings) -> Result<()> {
        let Some(centred) = &self.centred else { return Ok(()) };
        self.add_curve("centred_resid_norm", centred.resid_norm(), findings)?;
        self.add_curve("centred_attn_out_norm", centred.attn_out_norm(), findings)?;
        self.add_curve("centred_mlp_out_norm", centred.mlp_out_norm(), findings)
    }

    fn add_similarity(&self, findings: &mut Findings) -> Result<()> {
        let drawn = self.rows(&self.drawn)?;
        let similar = cka(&drawn)?;
        self.add_exact("cka_adjacent", (0..self.n_layers).map(|layer| similar[layer][layer + 1]), findings)?;
        let rows = Tensor::<1, Int>::from_data(&self.after_first[..], &self.device);
        if !self.after_first.is_empty() {
            let after_first: Vec<_> = drawn.into_iter().map(|set| set.select(0, rows.clone())).collect();
            self.add_exact("cka_adjacent_after_first", cka_adjacent(&after_first)?, findings)?;
        }
        if self.by_window.adjacent().len() == self.n_layers {
            self.add_curve("cka_adjacent_by_window", self.by_window.adjacent(), findings)?;
        }
        self.add_matrix("cka", similar, findings)?;
        if self.n_sequences >= UNBIASED_WINDOWS {
            self.add_matrix("cka_last_unbiased", cka_unbiased(&self.rows(&self.last)?)?, findings)?;
        }
        Ok(())
    }
}

impl Tap for Streams {
    fn hooks(&self) -> HookSet {
        self.taps().into_iter().fold(HookSet::EMPTY, |hooks, tap| hooks.union(tap.hooks()))
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.taps().into_iter().any(|tap| tap.wants(site, hook))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> stratigraph_core::Result<Activation> {
        let observers = self.observers().into_iter();
        Taps::new(observers.map(|observer| observer as &mut dyn Tap)).visit(site, hook, activation)
    }

    fn finish(&mut self) -> stratigraph_core::Result<()> {
        self.observers().into_iter().try_for_each(|observer| observer.finish())
    }
}

impl Observer for Streams {
    fn begin(&mut self, windows: Range<usize>) {
        self.observers().into_iter().for_each(|observer| observer.begin(windows.clone()));
    }

    fn end(&mut self, resid: &Tensor<3>) -> stratigraph_core::Result<()> {
        self.observers().into_iter().try_for_each(|observer| observer.end(resid))
    }
}

impl Observation for Streams {
    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<()> {
        self.geometry.check()?;
        self.add_geometry(findings)?;
        self.add_similarity(findings)
    }
}

/// 1 minus each number of a curve.
fn one_minus(curve: &Curve) -> Curve {
    let mut other = curve.clone();
    other.mean.iter_mut().for_each(|mean| *mean = 1.0 - *mean);
    other.replicates.iter_mut().flatten().for_each(|mean| *mean = 1.0 - *mean);
    other
}
