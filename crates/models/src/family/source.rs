//! A checkpoint as a source of parameters: [`CheckpointParams`] finds, checks and rearranges stored tensors.

use std::collections::BTreeSet;

use super::{Recipe, Stored};
use crate::checkpoint::Checkpoint;
use crate::param::{Kind, Param, ParamSource, Part};
use crate::{Head, ModelError, Result};

/// Reads the parameters of a recipe's decoder from a checkpoint and remembers which tensors it used.
pub(crate) struct CheckpointParams<'a> {
    checkpoint: &'a dyn Checkpoint,
    recipe: &'a Recipe,
    /// What the recipe's names begin with and the checkpoint's do not.
    left_out: &'static str,
    used: BTreeSet<String>,
}

impl<'a> CheckpointParams<'a> {
    pub(crate) fn new(checkpoint: &'a dyn Checkpoint, recipe: &'a Recipe) -> Self {
        let with_prefix = checkpoint.names().iter().any(|name| name.starts_with(recipe.prefix));
        let left_out = if with_prefix { "" } else { recipe.prefix };
        Self { checkpoint, recipe, left_out, used: BTreeSet::new() }
    }

    /// Refuses a checkpoint that holds tensors which were neither read nor known to be without effect.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.check_copy_of_tied_head()?;
        let without_effect = |name: &str| {
            let full = format!("{}{name}", self.left_out);
            (self.recipe.ignorable)(&self.recipe.config, name) || (self.recipe.ignorable)(&self.recipe.config, &full)
        };
        let mut names = self.checkpoint.names();
        names.retain(|name| !self.used.contains(name) && !without_effect(name));
        if names.is_empty() { Ok(()) } else { Err(ModelError::LeftoverTensors { names }) }
    }
}

impl CheckpointParams<'_> {
    /// A head that is tied may be stored all the same, when it is the embedding once more.
    fn check_copy_of_tied_head(&mut self) -> Result<()> {
        let of = |part| self.locate(Param { layer: None, part, kind: Kind::Weight }).name;
        let (embed, head) = (of(Part::Embed), of(Part::Unembed));
        if self.recipe.config.head != Head::Tied || self.checkpoint.shape(&head).is_none() {
            return Ok(());
        }
        if self.checkpoint.shape(&head) != self.checkpoint.shape(&embed)
            || self.checkpoint.read(&head)? != self.checkpoint.read(&embed)?
        {
            let reason = format!("`{head}` is another matrix than `{embed}`");
            return Err(ModelError::UnsupportedValue {
                key: "tie_word_embeddings".into(),
                value: "true".into(),
                reason,
            });
        }
        self.used.insert(head);
        Ok(())
    }

    /// Where this checkpoint stores a parameter.
    fn locate(&self, param: Param) -> Stored {
        let Stored { name, layout } = (self.recipe.locate)(&self.recipe.config, param);
        let name = name.strip_prefix(self.left_out).map(str::to_owned).unwrap_or(name);
        Stored { name, layout }
    }
}

impl ParamSource for CheckpointParams<'_> {
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>> {
        let Stored { name, layout } = self.locate(param);
        let found = self.checkpoint.shape(&name).ok_or_else(|| ModelError::MissingTensor { name: name.clone() })?;
        match layout.stored_shape(shape) {
            Some(expected) if found == expected => {}
            expected => return Err(ModelError::WrongShape { name, expected: expected.unwrap_or_default(), found }),
        }
        let values = self.checkpoint.read(&name)?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { name, value: values[index], index });
        }
        self.used.insert(name);
        Ok(layout.undo(values, shape))
    }
}
