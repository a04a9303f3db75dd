//! A checkpoint as a source of parameters: [`CheckpointParams`] finds, checks and rearranges stored tensors.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;

use super::{Layout, Names, Recipe, Stored};
use crate::files::TensorFiles;
use crate::param::{Kind, Param, ParamSource, Part};
use crate::{Head, ModelError, Result};

/// Reads the parameters of a recipe's decoder from a checkpoint and remembers which tensors it used.
pub(crate) struct CheckpointParams<'a> {
    files: &'a dyn TensorFiles,
    names: &'a Names,
    recipe: &'a Recipe,
    used: BTreeSet<String>,
}

impl<'a> CheckpointParams<'a> {
    /// `names` are those of `files`, as the recipe gives them.
    pub(crate) fn new(files: &'a dyn TensorFiles, names: &'a Names, recipe: &'a Recipe) -> Self {
        Self { files, names, recipe, used: BTreeSet::new() }
    }

    /// The name under which the checkpoint stores a parameter.
    pub(crate) fn name_of(&self, param: Param) -> String {
        let Stored { name, .. } = self.locate(param);
        self.names.stored(&name).map(str::to_owned).unwrap_or(name)
    }

    /// Checks that a parameter is stored, in the form that `shape` asks for, without reading it.
    pub(crate) fn check(&self, param: Param, shape: &[usize]) -> Result<()> {
        self.find(param, shape).map(|_| ())
    }

    /// Refuses a checkpoint that holds tensors which were neither read nor known to be without effect.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.check_copy_of_tied_head()?;
        let without_effect =
            |name: &str| self.recipe.ignores(name) || self.recipe.ignores(&self.names.with_prefix(name));
        let left = self.names.all().filter(|name| !self.used.contains(*name) && !without_effect(name));
        let names: Vec<_> = left.map(str::to_owned).collect();
        if names.is_empty() { Ok(()) } else { Err(ModelError::LeftoverTensors { names }) }
    }
}

impl CheckpointParams<'_> {
    /// A tied head may be stored as well if it equals the embedding.
    fn check_copy_of_tied_head(&mut self) -> Result<()> {
        let of = |part| self.located(Param { layer: None, part, kind: Kind::Weight }).name;
        let (embed, head) = (of(Part::Embed), of(Part::Unembed));
        let is_there = |name: &str| self.names.stored(name).is_some();
        if self.recipe.config.head != Head::Tied || !is_there(&head) || !is_there(&embed) {
            return Ok(());
        }
        if !self.same_values(&head, &embed)? {
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

    /// Whether two matrices are the same, read a part at a time.
    fn same_values(&self, a: &str, b: &str) -> Result<bool> {
        const ROWS: usize = 4096;
        let shape = self.shape(a);
        let Some(&[n_rows, width]) = shape.as_deref() else { return Ok(false) };
        if shape != self.shape(b) {
            return Ok(false);
        }
        for start in (0..n_rows).step_by(ROWS) {
            let elements = start * width..(start + ROWS).min(n_rows) * width;
            if self.stored_values(a, elements.clone())? != self.stored_values(b, elements)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where this checkpoint stores a parameter. A tied embedding may have the head's name.
    fn locate(&self, param: Param) -> Stored {
        let stored = self.located(param);
        let is_there = |stored: &Stored| self.names.stored(&stored.name).is_some();
        if param.part == Part::Embed && self.recipe.config.head == Head::Tied && !is_there(&stored) {
            let head = self.located(Param { part: Part::Unembed, ..param });
            return if is_there(&head) { head } else { stored };
        }
        stored
    }

    fn located(&self, param: Param) -> Stored {
        let Stored { name, layout } = (self.recipe.locate)(&self.recipe.config, param);
        Stored { name: self.names.without_prefix(name), layout }
    }

    /// The shape of a tensor; none where there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.files.shape(self.names.stored(name)?)
    }

    /// Some values of a tensor, as they are stored.
    fn stored_values(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        self.files.read(self.names.stored(name).unwrap_or(name), elements)
    }

    /// Where it stores a parameter of `shape`, which it must have.
    fn find(&self, param: Param, shape: &[usize]) -> Result<Stored> {
        let stored = self.locate(param);
        let name = &stored.name;
        let found = self.shape(name).ok_or_else(|| ModelError::MissingTensor { name: name.clone() })?;
        match stored.layout.stored_shape(shape) {
            Some(expected) if without_leading_ones(&found) == without_leading_ones(&expected) => Ok(stored),
            expected => {
                let (name, expected) = (stored.name, expected.unwrap_or_default());
                Err(ModelError::WrongShape { name, expected, found })
            }
        }
    }

    /// Reads values that must be finite.
    fn read(&mut self, name: String, elements: Range<usize>) -> Result<Vec<f32>> {
        let values = self.stored_values(&name, elements.clone())?;
        if let Some(index) = first_not_finite(&values) {
            return Err(ModelError::NotFinite { name, value: values[index], index: elements.start + index });
        }
        self.used.insert(name);
        Ok(values)
    }
}

/// A shape without axes of length one in front, which change nothing; converters to GGUF may leave them out.
fn without_leading_ones(shape: &[usize]) -> &[usize] {
    &shape[shape.iter().take_while(|length| **length == 1).count()..]
}

fn first_not_finite(values: &[f32]) -> Option<usize> {
    const CHUNK: usize = 1 << 16;
    let finite = |chunk: &[f32]| chunk.iter().fold(true, |all, value| all & value.is_finite()); // no early end: it vectorises
    let chunk = values.par_chunks(CHUNK).position_first(|chunk| !finite(chunk))?;
    let start = chunk * CHUNK;
    values[start..].iter().position(|value| !value.is_finite()).map(|index| start + index)
}

impl ParamSource for CheckpointParams<'_> {
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>> {
        let Stored { name, layout } = self.find(param, shape)?;
        Ok(layout.undo(self.read(name, layout.elements(shape))?, shape))
    }

    fn rows(&mut self, param: Param, shape: [usize; 2], rows: Range<usize>) -> Result<Vec<f32>> {
        let Stored { name, layout } = self.find(param, &shape)?;
        assert_eq!(layout, Layout::SAME, "every family stores the vocabulary's rows as they are");
        self.read(name, rows.start * shape[1]..rows.end * shape[1])
    }
}
