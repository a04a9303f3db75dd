//! Names of the activations inside a block, in TransformerLens's words: [`Hook`] and [`HookPoint`].
//!
//! ```
//! use stratigraph_core::{Hook, HookPoint};
//! let point: HookPoint = "blocks.5.attn.hook_pattern".parse()?;
//! assert_eq!(point, HookPoint { slot: 5, hook: Hook::Pattern });
//! assert_eq!(point.to_string(), "blocks.5.attn.hook_pattern");
//! # Ok::<(), stratigraph_core::CoreError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CoreError, Result};

/// An activation inside one block. Shapes are `[batch, pos, d_model]` unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hook {
    /// The residual stream entering the block.
    ResidPre,
    /// Attention probabilities, `[batch, n_heads, query, key]`.
    Pattern,
    /// What attention adds to the residual stream.
    AttnOut,
    /// The residual stream between attention and MLP; models with parallel sublayers have none.
    ResidMid,
    /// MLP activations after the nonlinearity (and the gate), `[batch, pos, d_mlp]`.
    MlpPost,
    /// What the MLP adds to the residual stream.
    MlpOut,
    /// The residual stream leaving the block.
    ResidPost,
}

impl Hook {
    /// Every hook, in the order in which a sequential block reaches them.
    pub const ALL: [Hook; 7] =
        [Hook::ResidPre, Hook::Pattern, Hook::AttnOut, Hook::ResidMid, Hook::MlpPost, Hook::MlpOut, Hook::ResidPost];

    /// TransformerLens's name of the hook, without its block.
    pub fn name(self) -> &'static str {
        match self {
            Hook::ResidPre => "hook_resid_pre",
            Hook::Pattern => "attn.hook_pattern",
            Hook::AttnOut => "hook_attn_out",
            Hook::ResidMid => "hook_resid_mid",
            Hook::MlpPost => "mlp.hook_post",
            Hook::MlpOut => "hook_mlp_out",
            Hook::ResidPost => "hook_resid_post",
        }
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

/// One hook in one slot of a run, written `blocks.5.hook_mlp_out`.
///
/// The number is the slot: in the model's own order slot `l` runs layer `l`; under surgery a layer that runs twice has
/// two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HookPoint {
    /// The place in the run.
    pub slot: usize,
    /// The activation in the block that runs there.
    pub hook: Hook,
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks.{}.{}", self.slot, self.hook)
    }
}

impl FromStr for HookPoint {
    type Err = CoreError;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || CoreError::UnknownHook { name: name.to_owned() };
        let (slot, hook) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
        Ok(HookPoint { slot: slot.parse().map_err(|_| unknown())?, hook: hook.parse().map_err(|_| unknown())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_point_prints_and_parses_back() {
        for hook in Hook::ALL {
            let point = HookPoint { slot: 12, hook };
            assert_eq!(point.to_string().parse(), Ok(point));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_repeats_it() {
        for name in ["blocks.5.attn.hook_z", "blocks.x.hook_attn_out", "hook_attn_out", "", "blocks.-1.hook_mlp_out"] {
            assert_eq!(name.parse::<HookPoint>(), Err(CoreError::UnknownHook { name: name.to_owned() }));
        }
    }
}
