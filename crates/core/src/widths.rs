//! How wide activations are: methods of [`ModelShape`] that take a [`Hook`].

use crate::{Hook, ModelShape};

impl ModelShape {
    /// Heads of an activation: key and value heads for keys and values, query heads for all others. None where the shape does
    /// not say.
    ///
    /// ```
    /// use stratigraph_core::{Hook, ModelShape};
    /// let shape = ModelShape::new(12, 768, 50_257).with_heads(12, 4, 64);
    /// assert_eq!((shape.n_heads_at(Hook::Z), shape.n_heads_at(Hook::K)), (Some(12), Some(4)));
    /// ```
    pub fn n_heads_at(&self, hook: Hook) -> Option<usize> {
        self.heads.map(|heads| match hook {
            Hook::K | Hook::V => heads.n_kv_heads,
            _ => heads.n_heads,
        })
    }

    /// The length of the last axis of an activation: `d_model`, `d_mlp`, the width of a head, the experts of a router,
    /// or 1 for the divisor of a norm.
    /// None where the shape does not say, and for scores and patterns, whose last axis is that of the keys.
    pub fn width_at(&self, hook: Hook) -> Option<usize> {
        match hook {
            Hook::MlpPre | Hook::MlpPost => self.d_mlp,
            Hook::ExpertWeights => self.experts.map(|experts| experts.n_experts),
            Hook::ExpertIndices => self.experts.map(|experts| experts.n_active),
            hook if hook.is_square() => None,
            hook if hook.has_heads() => self.heads.map(|heads| heads.d_head),
            hook if hook.is_scale() => Some(1),
            _ => Some(self.d_model),
        }
    }

    /// How many numbers an activation has at each position of windows of `seq_len` tokens, those of all heads together. None
    /// where the shape does not say.
    ///
    /// ```
    /// use stratigraph_core::{Hook, ModelShape};
    /// let shape = ModelShape::new(12, 768, 50_257).with_heads(12, 4, 64);
    /// assert_eq!(shape.numbers_at(Hook::V, 10), Some(4 * 64));
    /// assert_eq!(shape.numbers_at(Hook::Pattern, 10), Some(12 * 10));
    /// assert_eq!(shape.numbers_at(Hook::MlpPost, 10), None);
    /// ```
    pub fn numbers_at(&self, hook: Hook, seq_len: usize) -> Option<usize> {
        let width = if hook.is_square() { Some(seq_len) } else { self.width_at(hook) };
        let n_heads = if hook.has_heads() { self.n_heads_at(hook) } else { Some(1) };
        Some(width? * n_heads?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExpertShape;

    #[test]
    fn every_hook_has_the_numbers_of_its_axes() {
        let shape = ModelShape::new(2, 24, 60).with_heads(6, 2, 4).with_d_mlp(40);
        let shape = shape.with_experts(ExpertShape::new(5, 2, 16));
        let (seq_len, d_model) = (10, 24);
        for hook in Hook::ALL {
            let expected = match hook {
                Hook::Q | Hook::Z => 6 * 4,
                Hook::K | Hook::V => 2 * 4,
                Hook::AttnScores | Hook::Pattern => 6 * seq_len,
                Hook::MlpPre | Hook::MlpPost => 40,
                Hook::ExpertWeights => 5,
                Hook::ExpertIndices => 2,
                Hook::Ln1Scale | Hook::Ln2Scale => 1,
                _ => d_model,
            };
            assert_eq!(shape.numbers_at(hook, seq_len), Some(expected), "{hook}");
            assert_eq!(shape.width_at(hook).is_none(), hook.is_square(), "{hook}");
        }
    }

    #[test]
    fn what_a_shape_does_not_say_is_not_known() {
        let shape = ModelShape::new(2, 24, 60);
        for hook in Hook::ALL {
            let of_parts = matches!(hook, Hook::MlpPre | Hook::MlpPost | Hook::ExpertWeights | Hook::ExpertIndices);
            let is_known = !hook.has_heads() && !of_parts;
            assert_eq!(shape.numbers_at(hook, 10).is_some(), is_known, "{hook}");
        }
        assert_eq!(shape.n_heads_at(Hook::Z), None);
    }
}
