//! Deletions of a layer while parts of the later layers stay as they are in the unchanged model.

use stratigraph_core::{Edit, Hook, ModelShape};

use super::Sweep;
use crate::Intervention;

impl Sweep {
    /// `delete_frozen_patterns`: each layer left out while the attention patterns of all later layers are those of the unchanged
    /// model on the same window. The remaining damage is not caused by changed attention patterns.
    pub fn delete_frozen_patterns() -> Self {
        Self::delete_frozen("delete_frozen_patterns", |_| vec![Hook::Pattern])
    }

    /// `delete_frozen_norms`: each layer left out while the norms before attention and MLP of all later layers keep the
    /// divisors of the unchanged model on the same window. The final norm is not frozen.
    pub fn delete_frozen_norms() -> Self {
        Self::delete_frozen("delete_frozen_norms", |shape| {
            let second = shape.hooks.contains(Hook::Ln2Scale).then_some(Hook::Ln2Scale);
            [Hook::Ln1Scale].into_iter().chain(second).collect()
        })
    }

    fn delete_frozen(name: &str, hooks: fn(&ModelShape) -> Vec<Hook>) -> Self {
        Self::each_layer(name, move |context, layer| {
            let deleted = Intervention::from(context.full().delete(layer)?);
            let later = layer..deleted.plan().steps().len(); // the slots of the layers after it
            let hooks = hooks(&context.shape);
            let edits = later.flat_map(|slot| hooks.iter().map(move |hook| Edit::freeze(hook.at(slot))));
            Ok(edits.fold(deleted, Intervention::edit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SweepContext;

    fn texts(sweep: Sweep, hooks: &[Hook]) -> Vec<String> {
        let shape = ModelShape::new(3, 8, 16).with_hooks(hooks.iter().copied().collect::<stratigraph_core::HookSet>());
        let points = sweep.points(&SweepContext::new(shape, 6)).unwrap();
        points.interventions.iter().map(Intervention::to_string).collect()
    }

    #[test]
    fn the_layers_after_the_deleted_one_are_frozen() {
        let patterns = texts(Sweep::delete_frozen_patterns(), &[Hook::Pattern]);
        let first = "1-2 | blocks.0.attn.hook_pattern clean | blocks.1.attn.hook_pattern clean";
        assert_eq!(patterns, [first, "0-2 | blocks.1.attn.hook_pattern clean", "0-1"]);
        let limited = texts(Sweep::delete_frozen_patterns().at_positions(1..), &[Hook::Pattern]);
        let second = "0..3 | blocks.1.hook_resid_post pos=1.. skip | blocks.2.attn.hook_pattern pos=1.. clean";
        assert_eq!(limited[1], second);
        let norms = texts(Sweep::delete_frozen_norms(), &[Hook::Ln1Scale, Hook::Ln2Scale]);
        assert_eq!(norms[1], "0-2 | blocks.1.ln1.hook_scale clean | blocks.1.ln2.hook_scale clean");
        let shared = texts(Sweep::delete_frozen_norms(), &[Hook::Ln1Scale]);
        assert_eq!(shared[1], "0-2 | blocks.1.ln1.hook_scale clean");
    }
}
