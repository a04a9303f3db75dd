//! Families of interventions over an axis: [`Sweep`], which makes [`SweepPoints`] on a model.

mod blocks;
mod by_name;
mod families;
mod frozen;
mod knock_out;
mod patch;
mod positions;
mod steer;

use std::fmt;
use std::sync::Arc;

use stratigraph_core::ModelShape;
use stratigraph_profile::Axis;

use crate::{Change, Intervention, LayerPlan, Result, SurgeryError};

/// What a sweep is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepContext {
    /// The model.
    pub shape: ModelShape,
    /// Tokens in a window.
    pub seq_len: usize,
}

impl SweepContext {
    /// For a model and windows of `seq_len` tokens.
    pub fn new(shape: ModelShape, seq_len: usize) -> Self {
        Self { shape, seq_len }
    }

    /// The model in its own order of layers.
    pub fn full(&self) -> LayerPlan {
        LayerPlan::full(self.shape.n_layers)
    }
}

/// Interventions over one axis or two, the last axis running fastest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SweepPoints {
    /// One axis for curves, two for matrices.
    pub axes: Vec<Axis>,
    /// An intervention for each point, each with its name.
    pub interventions: Vec<Intervention>,
}

type Build = dyn Fn(&SweepContext) -> Result<SweepPoints> + Send + Sync;

/// A family of interventions with its axis, known by its name, after which the curves of a study are named.
///
/// ```
/// use stratigraph_core::{Edit, Hook, ModelShape};
/// use stratigraph_surgery::{Sweep, SweepContext};
///
/// let context = SweepContext::new(ModelShape::new(12, 768, 50_257), 128);
/// let deletions = Sweep::delete().points(&context)?;
/// assert_eq!(deletions.interventions[11].name(), "delete 11");
/// assert_eq!(deletions.interventions[11].to_string(), "0..11");
///
/// // One of your own: what each MLP writes is halved.
/// let halves = Sweep::each_layer("half_mlp", |_, layer| Ok(Edit::scale(Hook::MlpOut.at(layer), 0.5)));
/// assert_eq!(halves.points(&context)?.interventions.len(), 12);
///
/// // Blocks of layers left out, by their first layer and their length.
/// let blocks = [(2, 2), (2, 4), (6, 2)].map(|(start, n)| (format!("{start}+{n}"), (start, n)));
/// let skips = Sweep::over("skip", "start+length", blocks, |context, &(start, n)| {
///     context.full().delete_range(start..start + n)
/// });
/// assert_eq!(skips.points(&context)?.interventions[1].to_string(), "0-1-6..12");
/// # Ok::<(), stratigraph_surgery::SurgeryError>(())
/// ```
#[derive(Clone)]
pub struct Sweep {
    name: String,
    build: Arc<Build>,
    /// Why it cannot be limited to positions; none where it can.
    of_whole_windows: Option<&'static str>,
}

impl Sweep {
    /// A sweep of any axes, made by a function when the model is known. Interventions are named by the sweep's name and
    /// their points' ticks.
    pub fn new(
        name: impl Into<String>,
        build: impl Fn(&SweepContext) -> Result<SweepPoints> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), build: Arc::new(build), of_whole_windows: None }
    }

    /// A change for each of some labelled points.
    pub fn over<P: Send + Sync + 'static, C: Into<Change>>(
        name: impl Into<String>,
        axis: impl Into<String>,
        points: impl IntoIterator<Item = (String, P)>,
        change: impl Fn(&SweepContext, &P) -> Result<C> + Send + Sync + 'static,
    ) -> Self {
        let (labels, points): (Vec<_>, Vec<_>) = points.into_iter().unzip();
        let axis = Axis::labelled(axis, labels);
        Self::new(name, move |context| {
            let changes = points.iter().map(|point| change(context, point));
            SweepPoints::new(context, [axis.clone()], changes)
        })
    }

    /// A change for each layer.
    pub fn each_layer<C: Into<Change>>(
        name: impl Into<String>,
        change: impl Fn(&SweepContext, usize) -> Result<C> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |context| {
            let n_layers = context.shape.n_layers;
            SweepPoints::new(context, [Axis::layers(n_layers)], (0..n_layers).map(|layer| change(context, layer)))
        })
    }

    /// A change for each layer and head.
    pub fn each_head<C: Into<Change>>(
        name: impl Into<String>,
        change: impl Fn(usize, usize) -> Result<C> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |context| {
            let n_layers = context.shape.n_layers;
            let n_heads = context.shape.heads.map_or(0, |heads| heads.n_heads);
            let points = (0..n_layers).flat_map(|layer| (0..n_heads).map(move |head| (layer, head)));
            let changes = points.map(|(layer, head)| change(layer, head));
            SweepPoints::new(context, [Axis::layers(n_layers), Axis::heads(n_heads)], changes)
        })
    }

    /// A change for each layer and position.
    pub fn each_position<C: Into<Change>>(
        name: impl Into<String>,
        change: impl Fn(usize, usize) -> Result<C> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |context| {
            let (n_layers, seq_len) = (context.shape.n_layers, context.seq_len);
            let points = (0..n_layers).flat_map(|layer| (0..seq_len).map(move |position| (layer, position)));
            let changes = points.map(|(layer, position)| change(layer, position));
            SweepPoints::new(context, [Axis::layers(n_layers), Axis::counting("position", seq_len)], changes)
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its interventions on a model and its windows.
    ///
    /// # Errors
    /// When it has no point there, its axes have another number of points than it has interventions, or a plan or an edit
    /// cannot be made.
    pub fn points(&self, context: &SweepContext) -> Result<SweepPoints> {
        let mut points = (self.build)(context)?;
        let (expected, found) = (points.axes.iter().map(Axis::len).product::<usize>(), points.interventions.len());
        if found == 0 {
            return Err(SurgeryError::EmptySweep { sweep: self.name.clone(), n_layers: context.shape.n_layers });
        }
        if expected != found {
            return Err(SurgeryError::SweepShape { sweep: self.name.clone(), expected, found });
        }
        let names = (0..found).map(|index| point_name(&self.name, &points.axes, index));
        let named = points.interventions.into_iter().zip(names);
        points.interventions = named.map(|(intervention, name)| intervention.with_name(name)).collect();
        Ok(points)
    }
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sweep({})", self.name)
    }
}

impl SweepPoints {
    /// The changes of the points of some axes, in order.
    ///
    /// # Errors
    /// The first of a change.
    pub fn new<C: Into<Change>>(
        context: &SweepContext,
        axes: impl IntoIterator<Item = Axis>,
        changes: impl IntoIterator<Item = Result<C>>,
    ) -> Result<Self> {
        let n_layers = context.shape.n_layers;
        let interventions = changes.into_iter().map(|change| Ok(change?.into().into_intervention(n_layers)));
        Ok(Self { axes: axes.into_iter().collect(), interventions: interventions.collect::<Result<_>>()? })
    }
}

/// The name of a point: that of the sweep, and the tick of each axis.
fn point_name(sweep: &str, axes: &[Axis], mut index: usize) -> String {
    let mut ticks = Vec::new();
    for axis in axes.iter().rev() {
        ticks.push(axis.tick(index % axis.len()));
        index /= axis.len();
    }
    ticks.push(sweep.to_owned());
    ticks.reverse();
    ticks.join(" ")
}
