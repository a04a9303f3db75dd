//! The usual sweeps: deletion, swaps, the lens, repeats, sublayers and heads, each with its name.

use stratigraph_core::{Edit, EditKind, Hook, Positions, Sublayer};
use stratigraph_profile::Axis;

use super::{Sweep, SweepPoints};
use crate::LayerPlan;

impl Sweep {
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
}

fn kind_name(kind: &EditKind) -> String {
    let text = kind.to_string();
    text.split('(').next().unwrap_or(&text).to_owned()
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
