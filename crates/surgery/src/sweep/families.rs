//! The usual sweeps: deletion, swaps, the lens, repeats, sublayers and heads.

use std::ops::Range;

use stratigraph_core::{Edit, EditKind, Hook, MeanOver, Positions, Sublayer};
use stratigraph_profile::Axis;

use super::positions::from_suffix;
use super::{Sweep, SweepContext, SweepPoints};
use crate::{Change, LayerPlan, Result};

impl Sweep {
    /// `delete`: each layer left out.
    pub fn delete() -> Self {
        Self::each_layer("delete", |context, layer| context.full().delete(layer))
    }

    /// `delete_after_first`, `delete_from_5` and so on: each layer skipped at some positions, the others pass through it. With
    /// positions from 1 on, the first position's massive activations, the attention sink of most models, are still made. The
    /// same as `Sweep::delete().at_positions(positions)`.
    pub fn delete_at(positions: impl Into<Positions>) -> Self {
        Self::delete().at_positions(positions)
    }

    /// `swap`: each layer and the next in the other order.
    pub fn swap() -> Self {
        Self::new("swap", |context| {
            let n_layers = context.shape.n_layers;
            let changes = (1..n_layers).map(|layer| context.full().swap(layer - 1, layer));
            SweepPoints::new(context, [Axis::adjacent_pairs(n_layers)], changes)
        })
    }

    /// `swap_after_first`, `swap_from_5` and so on: some positions pass through each layer and the next in the other order, the
    /// others in the model's own. The same as `Sweep::swap().at_positions(positions)`.
    pub fn swap_at(positions: impl Into<Positions>) -> Self {
        Self::swap().at_positions(positions)
    }

    /// `lens`: the first `l` layers alone, for `l` from none to all, read out as if the model ended there: the logit lens.
    pub fn lens() -> Self {
        let lens = Self::new("lens", |context| {
            let n_layers = context.shape.n_layers;
            let changes = (0..=n_layers).map(|n| Ok(LayerPlan::full(n)));
            SweepPoints::new(context, [Axis::residual_positions(n_layers)], changes)
        });
        lens.of_whole_windows("it reads every position after the same layer")
    }

    /// `delete_attention`, `mean_mlp`, `mean_each_mlp` and so on: each layer with the output of a sublayer zeroed, or replaced by
    /// its mean or by that of another window.
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

    /// A change for each block of `length` neighbouring layers.
    pub(super) fn each_block<C: Into<Change>>(
        name: impl Into<String>,
        length: usize,
        change: impl Fn(&SweepContext, Range<usize>) -> Result<C> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |context| {
            let axis = Axis::block_starts(context.shape.n_layers, length);
            let starts = 0..if length == 0 { 0 } else { axis.len() };
            SweepPoints::new(context, [axis], starts.map(|start| change(context, start..start + length)))
        })
    }
}

/// The first part of the name of a sweep with edits of a kind: `zero`, `mean`, `mean_each`, `mean_after_first`, `resample`.
fn kind_name(kind: &EditKind) -> String {
    match kind {
        EditKind::Mean(MeanOver::Each) => "mean_each".to_owned(),
        EditKind::Mean(MeanOver::From(first)) => format!("mean{}", from_suffix(*first)),
        kind => {
            let text = kind.to_string();
            text.split('(').next().unwrap_or(&text).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::ModelShape;

    use super::*;
    use crate::{Intervention, SweepContext};

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
    fn a_sweep_without_a_point_is_an_error() {
        let error = Sweep::repeat(5).points(&context()).unwrap_err();
        assert_eq!(error.to_string(), "the sweep repeat_5 has no point on a model of 4 layers");
    }
}
