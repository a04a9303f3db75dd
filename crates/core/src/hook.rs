//! Names of activations, in TransformerLens's words: [`Hook`] and [`HookPoint`].
//!
//! ```
//! use stratigraph_core::{Hook, HookPoint};
//! let point: HookPoint = "blocks.5.attn.hook_pattern".parse()?;
//! assert_eq!(point, Hook::Pattern.at(5));
//! assert_eq!(point.to_string(), "blocks.5.attn.hook_pattern");
//! # Ok::<(), stratigraph_core::CoreError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{CoreError, Result};

/// A kind of activation. Shapes are `[batch, pos, d_model]` unless stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Hook {
    /// The residual stream that enters the first block: token embeddings, and learned positions where there are any.
    Embed,
    /// The residual stream entering the block.
    ResidPre,
    /// The divisor of the norm before attention, `[batch, pos, 1]`: `sqrt(mean(x^2) + eps)` of RMSNorm,
    /// `sqrt(variance + eps)` of LayerNorm.
    Ln1Scale,
    /// What the norm before attention writes, its gain and bias included.
    Ln1Normalized,
    /// Queries, `[batch, pos, n_heads, d_head]`: the projection with its bias, before a norm of queries and rotation.
    Q,
    /// Keys, `[batch, pos, n_kv_heads, d_head]`: the projection with its bias, before a norm of keys and rotation.
    K,
    /// Values, `[batch, pos, n_kv_heads, d_head]`.
    V,
    /// Attention scores before the softmax, scaled and masked, `[batch, n_heads, query, key]`. Keys after the query, or
    /// before its window, are minus infinity and stay masked whatever a tap writes there.
    AttnScores,
    /// Attention probabilities, `[batch, n_heads, query, key]`.
    Pattern,
    /// The values that each head mixes by its pattern, `[batch, pos, n_heads, d_head]`.
    Z,
    /// What attention adds to the residual stream.
    AttnOut,
    /// The residual stream between attention and MLP; models with parallel sublayers have none.
    ResidMid,
    /// The divisor of the norm before the MLP, `[batch, pos, 1]`; none where attention's norm serves both.
    Ln2Scale,
    /// What the norm before the MLP writes, its gain and bias included; none where attention's norm serves both.
    Ln2Normalized,
    /// The weight of each expert of a mixture, `[batch, pos, n_experts]`: what the expert's output is multiplied by; 0 for
    /// the experts that a position does not use.
    ExpertWeights,
    /// The experts that a position uses, `[batch, pos, n_active]`, by falling weight, as numbers from 0. It can be read, not
    /// edited.
    ExpertIndices,
    /// MLP activations before the nonlinearity (of the gate, where there is one), `[batch, pos, d_mlp]`; 0 for the neurons of
    /// experts that a position does not use.
    MlpPre,
    /// MLP activations after the nonlinearity (and the gate), `[batch, pos, d_mlp]`; 0 for the neurons of experts that a
    /// position does not use.
    MlpPost,
    /// What the MLP adds to the residual stream.
    MlpOut,
    /// The residual stream leaving the block.
    ResidPost,
    /// What the norm before the unembedding writes. It can be read, not edited.
    LnFinalNormalized,
}

impl Hook {
    /// Every hook, in the order in which a sequential model reaches them.
    pub const ALL: [Hook; 21] = [
        Hook::Embed,
        Hook::ResidPre,
        Hook::Ln1Scale,
        Hook::Ln1Normalized,
        Hook::Q,
        Hook::K,
        Hook::V,
        Hook::AttnScores,
        Hook::Pattern,
        Hook::Z,
        Hook::AttnOut,
        Hook::ResidMid,
        Hook::Ln2Scale,
        Hook::Ln2Normalized,
        Hook::ExpertWeights,
        Hook::ExpertIndices,
        Hook::MlpPre,
        Hook::MlpPost,
        Hook::MlpOut,
        Hook::ResidPost,
        Hook::LnFinalNormalized,
    ];

    /// TransformerLens's name of the hook, without its block.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Embed => "hook_embed",
            Hook::ResidPre => "hook_resid_pre",
            Hook::Ln1Scale => "ln1.hook_scale",
            Hook::Ln1Normalized => "ln1.hook_normalized",
            Hook::Q => "attn.hook_q",
            Hook::K => "attn.hook_k",
            Hook::V => "attn.hook_v",
            Hook::AttnScores => "attn.hook_attn_scores",
            Hook::Pattern => "attn.hook_pattern",
            Hook::Z => "attn.hook_z",
            Hook::AttnOut => "hook_attn_out",
            Hook::ResidMid => "hook_resid_mid",
            Hook::Ln2Scale => "ln2.hook_scale",
            Hook::Ln2Normalized => "ln2.hook_normalized",
            Hook::ExpertWeights => "mlp.hook_expert_weights",
            Hook::ExpertIndices => "mlp.hook_expert_indices",
            Hook::MlpPre => "mlp.hook_pre",
            Hook::MlpPost => "mlp.hook_post",
            Hook::MlpOut => "hook_mlp_out",
            Hook::ResidPost => "hook_resid_post",
            Hook::LnFinalNormalized => "ln_final.hook_normalized",
        }
    }

    /// The hook in one slot of a run. A hook outside the blocks has one point, whatever the slot.
    pub fn at(self, slot: usize) -> HookPoint {
        HookPoint { slot: if self.is_in_block() { slot } else { 0 }, hook: self }
    }

    /// Whether it is in every block: all hooks except [`Hook::Embed`] and [`Hook::LnFinalNormalized`].
    pub fn is_in_block(self) -> bool {
        !matches!(self, Hook::Embed | Hook::LnFinalNormalized)
    }

    /// Whether its activation has an axis of heads: queries, keys, values, scores, patterns and `z`.
    pub fn has_heads(self) -> bool {
        matches!(self, Hook::Q | Hook::K | Hook::V | Hook::Z) || self.is_square()
    }

    /// Whether its activation is `[batch, n_heads, query, key]`.
    pub fn is_square(self) -> bool {
        matches!(self, Hook::AttnScores | Hook::Pattern)
    }

    /// Whether it can be read but not edited: [`Hook::ExpertIndices`] and [`Hook::LnFinalNormalized`].
    pub fn is_read_only(self) -> bool {
        matches!(self, Hook::ExpertIndices | Hook::LnFinalNormalized)
    }

    /// Whether only mixtures of experts have it.
    pub fn is_of_experts(self) -> bool {
        matches!(self, Hook::ExpertWeights | Hook::ExpertIndices)
    }

    /// Whether its activation is the divisor of a norm, `[batch, pos, 1]`.
    pub fn is_scale(self) -> bool {
        matches!(self, Hook::Ln1Scale | Hook::Ln2Scale)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Hook {
    type Err = CoreError;

    fn from_str(name: &str) -> Result<Self> {
        Hook::ALL
            .into_iter()
            .find(|hook| hook.name() == name)
            .ok_or_else(|| CoreError::UnknownHook { name: name.to_owned() })
    }
}

impl Serialize for Hook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One hook in one slot of a run, written `blocks.5.hook_mlp_out`.
///
/// The number is the slot: in the model's own order slot `l` runs layer `l`; under surgery a layer that runs twice has
/// two slots. Hooks outside the blocks are written without one (`hook_embed`) and have slot 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookPoint {
    /// The position in the run.
    pub slot: usize,
    /// The activation in the block that runs there.
    pub hook: Hook,
}

impl HookPoint {
    /// The residual stream at one of its `n_layers + 1` positions in the model's own order: what enters layer `position`, and
    /// what leaves the last layer at `n_layers`.
    ///
    /// ```
    /// use stratigraph_core::{Hook, HookPoint};
    /// assert_eq!(HookPoint::of_residual(2, 12), Hook::ResidPre.at(2));
    /// assert_eq!(HookPoint::of_residual(12, 12), Hook::ResidPost.at(11));
    /// ```
    pub fn of_residual(position: usize, n_layers: usize) -> Self {
        match (n_layers, position) {
            (0, _) => Hook::Embed.at(0),
            _ if position < n_layers => Hook::ResidPre.at(position),
            _ => Hook::ResidPost.at(n_layers - 1),
        }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hook.is_in_block() { write!(f, "blocks.{}.{}", self.slot, self.hook) } else { self.hook.fmt(f) }
    }
}

impl FromStr for HookPoint {
    type Err = CoreError;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || CoreError::UnknownHook { name: name.to_owned() };
        let (slot, hook) = match name.strip_prefix("blocks.") {
            Some(rest) => rest.split_once('.').ok_or_else(unknown)?,
            None => ("0", name),
        };
        let hook: Hook = hook.parse().map_err(|_| unknown())?;
        let is_number = slot.bytes().all(|byte| byte.is_ascii_digit());
        if hook.is_in_block() != name.starts_with("blocks.") || !is_number {
            return Err(unknown());
        }
        Ok(hook.at(slot.parse().map_err(|_| unknown())?))
    }
}

impl Serialize for HookPoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HookPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_point_prints_and_parses_back() {
        for hook in Hook::ALL {
            let point = hook.at(12);
            assert_eq!(point.to_string().parse(), Ok(point));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_repeats_it() {
        for name in ["blocks.5.attn.hook_y", "blocks.x.hook_attn_out", "hook_attn_out", "", "blocks.-1.hook_mlp_out"] {
            assert_eq!(name.parse::<HookPoint>(), Err(CoreError::UnknownHook { name: name.to_owned() }));
        }
        assert!("blocks.3.hook_embed".parse::<HookPoint>().is_err());
    }
}
