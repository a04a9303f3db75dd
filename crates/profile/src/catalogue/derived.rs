//! The table of curves that are derived from others of a profile: [`DERIVED`].

use super::curves::SingleCurve;
use super::entry::AxisKind;
use crate::{Scale, Unit};

pub(super) static DERIVED: [SingleCurve; 4] = [
    SingleCurve {
        name: "local_attention",
        title: "Attention to the last five tokens, the first token left out",
        label: "to last 5, without first",
        quantity: "attention",
        unit: Unit::Dimensionless,
        scale: Scale::Share,
        axis: AxisKind::Layers,
        group: "Attention",
        definition: "`prev5_attention_mass_after_first / (1 - first_token_attention)`; derived when the profile is read, in older \
                     files from `prev5_attention_mass`",
    },
    SingleCurve {
        name: "mlp_write_ratio",
        title: "MLP output relative to the residual stream",
        label: "relative MLP output",
        quantity: "ratio of norms",
        unit: Unit::Dimensionless,
        scale: Scale::Log,
        axis: AxisKind::Layers,
        group: "Geometry",
        definition: "`mlp_out_norm` over the `resid_norm` before the layer; derived when the profile is read",
    },
    SingleCurve {
        name: "attn_write_ratio",
        title: "Attention output relative to the residual stream",
        label: "relative attention output",
        quantity: "ratio of norms",
        unit: Unit::Dimensionless,
        scale: Scale::Log,
        axis: AxisKind::Layers,
        group: "Geometry",
        definition: "`attn_out_norm` over the `resid_norm` before the layer; derived when the profile is read",
    },
    SingleCurve {
        name: "lexical_damage",
        title: "Damage at the ends of words of several tokens",
        label: "damage at word ends",
        quantity: "ratio of KL",
        unit: Unit::Dimensionless,
        scale: Scale::Log,
        axis: AxisKind::Layers,
        group: "Words in context",
        definition: "`delete_after_first_kl_by_word`, or `delete_kl_by_word`, at the last tokens of words of several tokens \
                     over that at single tokens; derived when the profile is read",
    },
];
