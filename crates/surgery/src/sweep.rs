//! Families of interventions over an axis: [`Sweep`], which makes [`SweepPoints`] on a model.

use std::fmt;
use std::sync::Arc;

use stratigraph_core::{ActivationCache, Edit, EditKind, EditValues, Hook, ModelShape, Positions, Sublayer};
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

/// A family of interventions with its axis, known by its name: the curves of a study are called after it.
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
}

impl Sweep {
    /// A sweep of any axes, made by a function when the model is known. Interventions are named by the sweep's name and
    /// their points' ticks.
    pub fn new(
        name: impl Into<String>,
        build: impl Fn(&SweepContext) -> Result<SweepPoints> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), build: Arc::new(build) }
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

    /// `delete`: each layer left out.
    pub fn delete() -> Self {
        Self::each_layer("delete", |context, layer| context.full().delete(layer))
    }

    /// `delete_from_1` and so on: each layer skipped at some positions, the others pass through it. With positions from 1
    /// on, the first position's massive activations, the attention sink of most models, are still made.
    pub fn delete_at(positions: impl Into<Positions>) -> Self {
        let positions = positions.into();
        let name = match &positions {
            Positions::All => "delete_everywhere".to_owned(),
            Positions::From(first) => format!("delete_from_{first}"),
            other => format!("delete_at_{other}"),
        };
        Self::each_layer(name, move |_, layer| Ok(Edit::skip_layer(layer).with_positions(positions.clone())))
    }

    /// `swap`: each layer and the next in the other order.
    pub fn swap() -> Self {
        Self::new("swap", |context| {
            let n_layers = context.shape.n_layers;
            let changes = (1..n_layers).map(|layer| context.full().swap(layer - 1, layer));
            SweepPoints::new(context, [Axis::adjacent_pairs(n_layers)], changes)
        })
    }

    /// `lens`: the first `l` layers alone, for `l` from none to all, read out as if the model ended there: the logit lens.
    pub fn lens() -> Self {
        Self::new("lens", |context| {
            let n_layers = context.shape.n_layers;
            let changes = (0..=n_layers).map(|n| Ok(LayerPlan::full(n)));
            SweepPoints::new(context, [Axis::residual_positions(n_layers)], changes)
        })
    }

    /// `repeat_5` and so on: each block of `length` neighbouring layers with each of its layers run twice in a row,
    /// `l l l+1 l+1 ..`.
    pub fn repeat(length: usize) -> Self {
        Self::new(format!("repeat_{length}"), move |context| {
            let n_layers = context.shape.n_layers;
            let axis = Axis::block_starts(n_layers, length);
            let starts = 0..if length == 0 { 0 } else { axis.len() };
            SweepPoints::new(context, [axis], starts.map(|start| context.full().repeat(start..start + length)))
        })
    }

    /// `delete_attention`, `mean_mlp` and so on: each layer with what a sublayer writes zeroed, or replaced by its mean or by
    /// that of another window.
    pub fn sublayers(sublayer: Sublayer, kind: EditKind) -> Self {
        let hook = match sublayer {
            Sublayer::Attention => Hook::AttnOut,
            Sublayer::Mlp => Hook::MlpOut,
        };
        let verb = match kind {
            EditKind::Zero => "delete".to_owned(),
            _ => kind_name(&kind),
        };
        Self::each_layer(format!("{verb}_{sublayer}"), move |_, layer| Ok(Edit::new(hook.at(layer), kind.clone())))
    }

    /// `zero_heads`, `mean_heads` and so on: each attention head's output changed, over layers and heads.
    pub fn heads(kind: EditKind) -> Self {
        let name = format!("{}_heads", kind_name(&kind));
        Self::each_head(name, move |layer, head| Ok(Edit::new(Hook::Z.at(layer), kind.clone()).with_heads([head])))
    }

    /// `patch_resid_pre` and so on: each layer's activation at each position taken from another run, over layers and
    /// positions. The cache holds one window as long as those that run, or each window of the corpus.
    ///
    /// # Errors
    /// When the cache holds no activation of the hook.
    pub fn patch(hook: Hook, cache: &ActivationCache) -> Result<Self> {
        let values = cached(hook, cache)?;
        Ok(Self::each_position(patch_name(hook), move |layer, position| {
            let values = layer_values(hook, &values, layer)?;
            Ok(Edit::patch(hook.at(layer), values).with_positions(Positions::only([position])))
        }))
    }

    /// `patch_attn_out_layers` and so on: each layer's activation at every position taken from another run.
    ///
    /// # Errors
    /// When the cache holds no activation of the hook.
    pub fn patch_layers(hook: Hook, cache: &ActivationCache) -> Result<Self> {
        let values = cached(hook, cache)?;
        Ok(Self::each_layer(format!("{}_layers", patch_name(hook)), move |_, layer| {
            Ok(Edit::patch(hook.at(layer), layer_values(hook, &values, layer)?))
        }))
    }

    /// The names that [`by_name`](Sweep::by_name) takes; N stands for a number.
    pub const KNOWN: [&str; 14] = [
        "delete",
        "delete_from_N",
        "swap",
        "lens",
        "repeat_N",
        "delete_attention",
        "delete_mlp",
        "mean_attention",
        "mean_mlp",
        "resample_attention",
        "resample_mlp",
        "zero_heads",
        "mean_heads",
        "resample_heads",
    ];

    /// A sweep by its name; none where the name is not among [`KNOWN`](Sweep::KNOWN).
    pub fn by_name(name: &str) -> Option<Self> {
        use Sublayer::{Attention, Mlp};
        let number = |prefix: &str| -> Option<usize> {
            let number = name.strip_prefix(prefix)?.parse().ok()?;
            (number > 0 && name == format!("{prefix}{number}")).then_some(number)
        };
        Some(match name {
            "delete" => Self::delete(),
            "swap" => Self::swap(),
            "lens" => Self::lens(),
            "delete_attention" => Self::sublayers(Attention, EditKind::Zero),
            "delete_mlp" => Self::sublayers(Mlp, EditKind::Zero),
            "mean_attention" => Self::sublayers(Attention, EditKind::Mean),
            "mean_mlp" => Self::sublayers(Mlp, EditKind::Mean),
            "resample_attention" => Self::sublayers(Attention, EditKind::Resample),
            "resample_mlp" => Self::sublayers(Mlp, EditKind::Resample),
            "zero_heads" => Self::heads(EditKind::Zero),
            "mean_heads" => Self::heads(EditKind::Mean),
            "resample_heads" => Self::heads(EditKind::Resample),
            _ => match (number("repeat_"), number("delete_from_")) {
                (Some(length), _) => Self::repeat(length),
                (_, Some(first)) => Self::delete_at(Positions::from(first)),
                _ => return None,
            },
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

fn kind_name(kind: &EditKind) -> String {
    let text = kind.to_string();
    text.split('(').next().unwrap_or(&text).to_owned()
}

fn patch_name(hook: Hook) -> String {
    let name = hook.name().rsplit('.').next().unwrap_or(hook.name());
    format!("patch_{}", name.trim_start_matches("hook_"))
}

/// The activations of a hook, by slot; each is hashed once.
fn cached(hook: Hook, cache: &ActivationCache) -> Result<Vec<(usize, EditValues)>> {
    let points = cache.points().filter(|point| point.hook == hook);
    let values = points.map(|point| Ok((point.slot, EditValues::from(cache.activation(point)?))));
    let values = values.collect::<Result<Vec<_>>>()?;
    if values.is_empty() {
        return Err(stratigraph_core::CoreError::NotCached { point: hook.at(0) }.into());
    }
    Ok(values)
}

fn layer_values(hook: Hook, values: &[(usize, EditValues)], layer: usize) -> Result<EditValues> {
    let found = values.iter().find(|(slot, _)| *slot == layer);
    let missing = stratigraph_core::CoreError::NotCached { point: hook.at(layer) };
    found.map(|(_, values)| values.clone()).ok_or(missing.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> SweepContext {
        SweepContext::new(ModelShape::new(4, 8, 16).with_heads(2, 1, 4), 3)
    }

    fn texts(sweep: &Sweep) -> Vec<String> {
        sweep.points(&context()).unwrap().interventions.iter().map(Intervention::to_string).collect()
    }

    #[test]
    fn sweeps_are_what_their_names_say() {
        assert_eq!(texts(&Sweep::delete()), ["1..4", "0-2-3", "0-1-3", "0..3"]);
        assert_eq!(texts(&Sweep::swap()), ["1-0-2-3", "0-2-1-3", "0-1-3-2"]);
        assert_eq!(texts(&Sweep::lens()), ["none", "0", "0-1", "0..3", "0..4"]);
        assert_eq!(texts(&Sweep::repeat(3)), ["0-0-1-1-2-2-3", "0-1-1-2-2-3-3"]);
        assert_eq!(texts(&Sweep::delete_at(1..))[2], "0..4 | blocks.2.hook_resid_post pos=1.. skip");
        let mean = Sweep::by_name("mean_mlp").unwrap();
        assert_eq!(texts(&mean)[3], "0..4 | blocks.3.hook_mlp_out mean");
    }

    #[test]
    fn points_are_named_along_their_axes() {
        let heads = Sweep::heads(EditKind::Zero).points(&context()).unwrap();
        assert_eq!(heads.axes, [Axis::layers(4), Axis::heads(2)]);
        assert_eq!(heads.interventions[5].name(), "zero_heads 2 1");
        assert_eq!(heads.interventions[5].to_string(), "0..4 | blocks.2.attn.hook_z heads=1 zero");
    }

    #[test]
    fn every_known_name_makes_a_sweep_of_that_name() {
        for name in Sweep::KNOWN.map(|name| name.replace('N', "3")) {
            assert_eq!(Sweep::by_name(&name).unwrap().name(), name);
        }
        for name in ["repeat_0", "repeat_", "repeat_03", "delete_from_", "Delete", "", "mean"] {
            assert!(Sweep::by_name(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_sweep_without_a_point_is_an_error() {
        let error = Sweep::repeat(5).points(&context()).unwrap_err();
        assert_eq!(error.to_string(), "the sweep repeat_5 has no point on a model of 4 layers");
    }
}
